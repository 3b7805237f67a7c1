"""`require` as a user meets it: a finished run, one line per unmet bound, exit code 3."""

import json
import re
import sqlite3
from pathlib import Path

import pytest

import cachelab
from cachelab import ConfigError, RequirementError
from faults import command

pytestmark = pytest.mark.slow

# experiment=simple hits 81 of 87 full prompt blocks (tests/test_cli.py)
SIMPLE = ("experiment=simple", "engine=replay", "artifacts=[requests]")
MET = 'require={hit_rate/first_prefill: ">= 0.93", requests/rejected: "<= 0"}'
UNMET = 'require={hit_rate/first_prefill: ">= 0.94", losses/reused: ">= 0.5", hit_rate/vllm_gpu: ">= 0.1"}'
LINES = [
    "cachelab: require: hit_rate/first_prefill is 0.931, required >= 0.94",
    "cachelab: require: hit_rate/vllm_gpu is absent (vLLM did not run), required >= 0.1",
]


def tags(database: Path, name: str = "") -> list[dict[str, str]]:
    with sqlite3.connect(database) as connection:
        ids = connection.execute("select run_uuid, name, status from runs order by start_time").fetchall()
        assert {status for *_, status in ids} == {"FINISHED"}
        return [
            dict(connection.execute("select key, value from tags where run_uuid = ?", [run_id]))
            for run_id, run_name, _ in ids
            if name in run_name
        ]


def test_run_within_its_bounds_exits_with_0(tmp_path: Path) -> None:
    done = command.run(tmp_path, *SIMPLE, MET, "tracking=none")
    assert (done.code, done.err) == (0, "")
    (summary,) = tmp_path.glob("outputs/*/*/artifacts/summary.md")
    assert "| hit_rate/first_prefill | 0.931 | >= 0.93 | yes |" in summary.read_text()


def test_run_outside_its_bounds_is_logged_and_exits_with_3(tmp_path: Path, empty_database: Path) -> None:
    done = command.run(tmp_path, *SIMPLE, UNMET, f"tracking.uri=sqlite:///{tmp_path}/mlflow.db")
    assert done.code == 3
    assert done.err.splitlines() == LINES
    assert "first-prefill block hit rate 93.10 % (81 of 87 full prompt blocks)" in done.out
    (found,) = tags(tmp_path / "mlflow.db")
    assert found["cachelab.requirements_met"] == "false"
    assert found["cachelab.unmet"].startswith("require: hit_rate/first_prefill is 0.931, required >= 0.94; require: ")
    (summary,) = tmp_path.glob("outputs/*/*/artifacts/summary.md")
    assert "| hit_rate/vllm_gpu | - | >= 0.1 | no |" in summary.read_text()
    (log,) = tmp_path.glob("outputs/*/*/cachelab.log")
    assert "require: hit_rate/first_prefill is 0.931, required >= 0.94" in log.read_text()


@pytest.mark.parametrize(
    ("bounds", "line"),
    [
        (
            '{hit_rate/first_prefil: ">= 0.5"}',
            "require: there is no metric hit_rate/first_prefil (did you mean hit_rate/first_prefill?)",
        ),
        ('{turn/hit_rate: ">= 0.5"}', "require: turn/hit_rate has one value per turn"),
        ('{hit_rate/first_prefill: "0.5"}', "require.hit_rate/first_prefill: '0.5' is not a bound"),
        ("{hit_rate/first_prefill: 0.5}", "require.hit_rate/first_prefill: input should be a valid string, got 0.5"),
        ('{dataset/chats: ">= 1"}', "require: there is no metric dataset/chats"),
    ],
)
@pytest.mark.parametrize("sweep", [(), ("--multirun", "order=by_turn,by_conversation")], ids=["run", "sweep"])
def test_bound_that_no_run_can_have_is_refused_before_the_run(
    tmp_path: Path, bounds: str, line: str, sweep: tuple[str, ...]
) -> None:
    done = command.run(tmp_path, *sweep, *SIMPLE, f"require={bounds}", "tracking=none")
    assert line in done.err
    assert not list(tmp_path.rglob("metrics.json"))
    if not (sweep and "dataset/" in line):  # the counts of a dataset are known when a job has read it
        assert len(done.err.splitlines()) == 1
        assert done.code == 2


def test_sweep_exits_with_3_after_all_its_jobs(tmp_path: Path) -> None:
    store = f"tracking.uri=sqlite:///{tmp_path}/mlflow.db"
    bound = 'require={hit_rate/first_prefill: ">= 0.85"}'
    grid = ("--multirun", "experiment=multi_turn", "engine=replay", "order=by_turn,by_conversation", store, bound)
    done = command.run(tmp_path, *grid, "artifacts=[requests]")
    assert done.code == 3
    (line,) = done.err.splitlines()
    assert re.fullmatch(r"cachelab: #0 by_turn: require: hit_rate/first_prefill is 0\.\d+, required >= 0\.85", line)
    (folder,) = tmp_path.glob("multirun/*/*/sweep")
    assert line.removeprefix("cachelab: ") in (folder / "comparison.md").read_text()
    assert json.loads((folder / "end.json").read_text())["tags"] == {"cachelab.requirements_met": "false"}
    parent, *jobs = tags(tmp_path / "mlflow.db")
    assert parent["cachelab.requirements_met"] == "false"
    assert sorted(job["cachelab.requirements_met"] for job in jobs) == ["false", "true"]
    again = command.run(tmp_path, *grid, "artifacts=[requests]", "sweep.skip_finished=true")
    assert (again.code, again.err.splitlines()) == (3, [line])  # reused jobs are checked too


def test_search_is_judged_by_its_best_trial(tmp_path: Path) -> None:
    search = (
        "--multirun",
        "experiment=tune_filter",
        "engine=replay",
        "hydra.sweeper.n_trials=2",
        "tracking=none",
        'objective_constraints={requests/completed: ">= 1"}',
    )
    met = command.run(tmp_path / "met", *search, 'require={requests/completed: ">= 1"}')
    assert (met.code, met.err) == (0, "")
    unmet = command.run(tmp_path / "unmet", *search, 'require={requests/completed: ">= 1000"}')
    assert unmet.code == 3
    assert all("require: requests/completed is" in line for line in unmet.err.splitlines())


def test_failed_job_of_a_sweep_outweighs_an_unmet_bound(tmp_path: Path) -> None:
    grid = ("--multirun", *SIMPLE, "engine.num_blocks=9999,3", "tracking=none", UNMET, "engine.max_model_len=2048")
    done = command.run(tmp_path, *grid)
    assert done.code == 1


def test_run_from_python_raises_with_its_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert cachelab.run(*SIMPLE, MET).metrics["requests/rejected"] == 0
    with pytest.raises(RequirementError) as unmet:
        cachelab.run(*SIMPLE, UNMET)
    assert str(unmet.value) == "; ".join(line.removeprefix("cachelab: ") for line in LINES)
    assert unmet.value.result.metrics["hit_rate/first_prefill"] == 81 / 87
    with pytest.raises(ConfigError, match="did you mean requests/completed"):
        cachelab.run(*SIMPLE, 'require={requests/complete: ">= 1"}')


def calls(path: Path, times: bool) -> str:
    """Six requests of two chats; with `times`, the time stands in front of the system message."""
    rules = "You are a support agent. Be polite, short and exact in every answer that you give. " * 8
    rows: list[dict[str, object]] = []
    for chat in range(2):
        history: list[dict[str, str]] = []
        for turn in range(3):
            history.append({"role": "user", "content": f"Where is order {chat}{turn}?"})
            system = f"It is 10:{len(rows):02d}.\n{rules}" if times else rules
            rows.append({"session_id": f"chat {chat}", "messages": [{"role": "system", "content": system}, *history]})
            history.append({"role": "assistant", "content": f"Order {chat}{turn} arrives tomorrow."})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return f"dataset.path={path}"


def test_explanation_is_printed_written_and_bounded(tmp_path: Path) -> None:
    bound = 'require={losses/behind_a_break: "<= 0.02"}'
    arguments = ("experiment=explain", "tracking=none", "price=per_token", "price.fresh=3", "price.cached=0.3", bound)
    done = command.run(tmp_path, *arguments, calls(tmp_path / "timed.jsonl", True), "hydra.run.dir=timed", COLUMNS="80")
    assert done.code == 3
    (line,) = done.err.splitlines()
    assert re.fullmatch(r"cachelab: require: losses/behind_a_break is 0\.\d+, required <= 0\.02", line)
    printed = " ".join(done.out.split())
    assert "a date or time in the system message costs" in printed
    assert "USD 0.00" in printed
    assert "Where to look report timed/artifacts/explanation.html" in printed
    written = {path.name for path in (tmp_path / "timed" / "artifacts").iterdir()}
    assert {"explanation.html", "explanation.md", "breaks.csv", "breaks_per_request.parquet", "summary.md"} <= written
    summary = (tmp_path / "timed" / "artifacts" / "summary.md").read_text()
    assert "(explanation.md has the causes)" in summary
    assert "| as run | USD " in summary
    done = command.run(tmp_path, *arguments, calls(tmp_path / "fixed.jsonl", False))
    assert (done.code, done.err) == (0, "")


def test_bound_of_an_explanation_needs_one(tmp_path: Path) -> None:
    done = command.run(tmp_path, *SIMPLE, 'require={losses/behind_a_break: "<= 0.02"}', "tracking=none")
    assert done.code == 2
    assert done.err == ("cachelab: require: losses/behind_a_break is a number of an explanation: add explain=causes\n")
