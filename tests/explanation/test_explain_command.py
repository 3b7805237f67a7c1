"""experiment=explain: what it prints, writes and logs."""

import csv
import json
from pathlib import Path

import pyarrow.parquet as parquet
import pytest

import cachelab
from cachelab.explanation.explainer import Explainer
from cachelab.report.explanation import print_explanation
from planted import PLANTED, Log, made_up, save

CHATS = made_up(conversations=4, turns=4)


def run(rows: Log, folder: Path, *overrides: str) -> cachelab.Result:
    path = save(rows, folder / "calls.jsonl")
    out = f"hydra.run.dir={folder / 'out'}"
    return cachelab.run("experiment=explain", f"dataset.path={path}", f"cache_dir={folder / 'cache'}", out, *overrides)


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> tuple[cachelab.Result, Path]:
    folder = tmp_path_factory.mktemp("broken")
    rows = [
        row | {"tenant": "=ab"[number % 3]}
        for number, row in enumerate(PLANTED["a time in the system message"].plant(CHATS)[0])
    ]
    return run(rows, folder, "explain.by=tenant"), folder / "out" / "artifacts"


def test_numbers_are_metrics_of_the_run(broken: tuple[cachelab.Result, Path]) -> None:
    result, _ = broken
    assert result.explanation is not None
    metrics = result.metrics
    assert metrics["losses/behind_a_break"] + metrics["losses/new"] == pytest.approx(metrics["losses/never_seen"])
    assert metrics["explain/hit_rate_all_fixed"] > metrics["hit_rate/first_prefill"] + 0.5
    assert metrics["breaks/date_or_time_tokens"] == result.explanation.behind_tokens
    logged = json.loads((result.folder / "artifacts" / "metrics.json").read_text())
    assert logged["values"]["explain/hit_rate_all_fixed"] == metrics["explain/hit_rate_all_fixed"]


def test_files_of_the_causes(broken: tuple[cachelab.Result, Path]) -> None:
    result, folder = broken
    assert result.explanation is not None
    with (folder / "breaks.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert [*row] == [
        *("class", "role", "place", "before", "after", "requests", "tokens"),
        *("hit_rate_before", "hit_rate_alone", "hit_rate_cumulative", "advice", "other_fix", "hit_rate_other_fix"),
    ]
    assert (row["class"], row["role"], row["place"]) == ("date_or_time", "system", "system message")
    table = parquet.read_table(folder / "breaks.parquet").to_pylist()
    assert table[0]["tokens"] == int(row["tokens"]) == result.explanation.causes[0].tokens
    requests = parquet.read_table(folder / "breaks_per_request.parquet").to_pylist()
    assert len(requests) == len(CHATS)
    assert sum(one["behind_tokens"] for one in requests) == result.explanation.behind_tokens
    assert {one["group"] for one in requests} == {"=", "a", "b"}


def test_fixed_workload_has_the_hit_rate_of_all_fixed(broken: tuple[cachelab.Result, Path], tmp_path: Path) -> None:
    result, folder = broken
    again = cachelab.run(
        "experiment=explain", f"dataset.path={folder / 'fixed.jsonl.gz'}", f"hydra.run.dir={tmp_path / 'out'}"
    )
    assert again.explanation is not None
    assert again.explanation.causes == []
    assert again.metrics["hit_rate/first_prefill"] == result.metrics["explain/hit_rate_all_fixed"]


def test_console_begins_with_the_verdict(
    broken: tuple[cachelab.Result, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    result, _ = broken
    assert result.explanation is not None
    print_explanation(result.explanation)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    text = " ".join(" ".join(lines).split())
    assert text.startswith(result.explanation.verdict)
    assert "a date or time in the system message costs" in result.explanation.verdict
    assert any(line.startswith(" 1  date or time, system message") for line in lines)
    for label in ("before", "after", "fix", "saves"):
        assert any(line.startswith(f"    {label} ") for line in lines)


def test_control_characters_of_a_prompt_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"messages": [{"role": "system", "content": f"Time: 10:0{n}\x1b[31m\nBe brief. " * 3}]} for n in range(3)]
    for row in rows:
        row["messages"].append({"role": "user", "content": "hi"})
    print_explanation(cachelab.explain(rows))
    assert "\x1b" not in capsys.readouterr().out


def test_texts_are_left_out_of_all_files(tmp_path: Path) -> None:
    result = run(PLANTED["a user's name"].plant(CHATS)[0], tmp_path, "explain.show_text=false", "artifacts=[requests]")
    folder = result.folder / "artifacts"
    assert not (folder / "fixed.jsonl.gz").exists()
    assert b"Grace" not in (folder / "breaks.csv").read_bytes()
    assert result.metrics["breaks/user_field_tokens"] > 0


def test_block_traces_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "blocks.jsonl"
    path.write_text('{"timestamp": 0, "input_length": 4, "output_length": 1, "hash_ids": [1], "block_size": 4}\n')
    with pytest.raises(cachelab.ConfigError, match="a block trace has no text to compare"):
        cachelab.run("experiment=explain", f"dataset.path={path}", f"hydra.run.dir={tmp_path / 'out'}")


def test_objective_may_be_a_number_of_the_explanation(tmp_path: Path) -> None:
    with pytest.raises(
        cachelab.ConfigError, match="explain/hit_rate_all_fixed is a number of an explanation: add explain=causes"
    ):
        cachelab.run(
            "experiment=multi_turn", "objective=[explain/hit_rate_all_fixed]", f"hydra.run.dir={tmp_path / 'no'}"
        )
    result = run(CHATS, tmp_path, "objective=[losses/behind_a_break]")
    assert result.metrics["losses/behind_a_break"] == 0


def test_causes_that_are_not_undone_are_listed_and_not_in_the_last_rate(tmp_path: Path) -> None:
    rows = PLANTED["a uuid"].plant(PLANTED["tools in changing order"].plant(CHATS)[0])[0]
    explanation = run(rows, tmp_path, "explain.max_causes=1").explanation
    assert explanation is not None
    first, second = explanation.causes
    assert (first.kind, second.kind) == ("order", "id_or_number")
    assert explanation.hit_rate_all_fixed == first.hit_rate_alone
    assert second.hit_rate_alone is None
    assert explanation.all_fixed_label == "Cause 1 undone"


def test_explainer_limits_how_many_causes_are_undone() -> None:
    assert Explainer(max_causes=0).max_causes == 0
    with pytest.raises(ValueError, match="max_causes"):
        Explainer(max_causes=101)
