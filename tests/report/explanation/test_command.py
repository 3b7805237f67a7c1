"""The report of `experiment=explain` as a user meets it."""

import json
from pathlib import Path

import pytest

from faults import command

pytestmark = pytest.mark.slow

SECRET = "the walrus is in the cellar"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Eight requests of two tenants; one of them puts a counter in front of its system text."""
    rows = []
    for chat in range(2):
        history: list[dict[str, str]] = []
        for turn in range(4):
            system = f"Request {1000 + turn}. " * chat + f"Keep in mind that {SECRET}. " * 12
            history.append({"role": "user", "content": f"Question {turn}: where is {SECRET}?"})
            sent = [{"role": "system", "content": system}, *history]
            rows.append({"session_id": f"chat-{chat}", "tenant": "ab"[chat], "messages": sent})
            history.append({"role": "assistant", "content": "I must not say."})
    path = tmp_path / "calls.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_text_is_in_the_report_unless_it_must_not(tmp_path: Path, log: Path) -> None:
    arguments = ("experiment=explain", f"dataset.path={log}", "tracking=none", "artifacts=[requests,per_turn]")
    shown = command.run(tmp_path, *arguments, "hydra.run.dir=shown", COLUMNS="80")
    hidden = command.run(tmp_path, *arguments, "hydra.run.dir=hidden", "explain.show_text=false", COLUMNS="80")
    assert (shown.code, hidden.code) == (0, 0), shown.err + hidden.err
    assert "id, counter or number" in shown.out
    assert "id, counter or number" in hidden.out
    assert "100" in (tmp_path / "shown/artifacts/explanation.html").read_text(encoding="utf-8")
    assert "walrus" in (tmp_path / "shown/artifacts/explanation.html").read_text(encoding="utf-8")
    files = [path for path in (tmp_path / "hidden").rglob("*") if path.is_file()]
    assert {"explanation.md", "explanation.html", "breaks.csv", "breaks.parquet"} <= {path.name for path in files}
    assert not [path for path in files if b"walrus" in path.read_bytes() or b"cellar" in path.read_bytes()]
    assert "walrus" not in hidden.out


def test_groups_show_which_tenant_breaks_the_cache(tmp_path: Path, log: Path) -> None:
    arguments = ("experiment=explain", f"dataset.path={log}", "explain.by=tenant", "tracking=none", "hydra.run.dir=out")
    done = command.run(tmp_path, *arguments, COLUMNS="80")
    assert done.code == 0, done.err
    text = (tmp_path / "out/artifacts/explanation.md").read_text(encoding="utf-8")
    groups = {line.split("|")[1].strip(): line for line in text.splitlines() if line.startswith(("| a |", "| b |"))}
    assert set(groups) == {"a", "b"}
    assert "| b | 4 | " in text
    assert "id, counter or number" in text
