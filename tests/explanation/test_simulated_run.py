"""A real engine runs the workload once; the simulator runs it with each cause undone."""

from pathlib import Path

import pytest

import cachelab
from planted import Log, save
from scripted_server import scripted

RULES = "Answer in one short sentence. Say so if you do not know. Never give advice about law, health or money."


def calls() -> Log:
    """Short chats whose system message begins with the time of the call; the scripted server takes 256 tokens."""
    rows: Log = []
    for chat in range(3):
        spoken: list[dict[str, str]] = []
        for turn in range(3):
            time = f"The current time is 2026-11-02 09:{chat:02}:{10 * turn + 11}."
            spoken = [*spoken, {"role": "user", "content": f"What is {chat} plus {turn}?"}]
            reply = {"role": "assistant", "content": f"It is {chat + turn}."}
            system = {"role": "system", "content": f"{time} {RULES}"}
            rows.append({"session_id": f"c{chat}", "messages": [system, *spoken], "response": reply})
            spoken = [*spoken, reply]
    return rows


@pytest.mark.slow
def test_causes_of_a_servers_run_are_priced_on_the_simulator(tmp_path: Path) -> None:
    path = save(calls(), tmp_path / "calls.jsonl")
    folders = (f"cache_dir={tmp_path / 'cache'}", f"hydra.run.dir={tmp_path / 'out'}", "tracking=none")
    with scripted() as server:
        url = f"engine.real.url={server.url}"
        result = cachelab.run("experiment=server_gap", f"dataset.path={path}", url, *folders)
        assert len(server.bodies) == result.metrics["requests/completed"] == 9  # no request for a cause
    found = result.explanation
    assert found is not None
    assert [cause.kind for cause in found.causes] == ["date_or_time"]
    assert found.verdict.startswith("simulated hit rate ")
    assert any("The real engine ran only the original workload" in note for note in found.notes)
    # The scripted server says 16 cached tokens of each request; the simulator finds the first prompt new.
    assert result.metrics["agreement/mismatches"] > 0
    assert found.hit_rate.value is not None
    assert found.hit_rate.value < result.metrics["explain/hit_rate_all_fixed"]
    summary = (tmp_path / "out" / "artifacts" / "summary.md").read_text(encoding="utf-8")
    assert "Gap of the hit rate" in summary
