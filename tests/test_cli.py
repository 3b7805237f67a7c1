"""The command line as a user meets it: exit codes, stdout and stderr of a process."""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cachelab.tracking.mlflow.zero_counts import with_zero_counts
from faults import command

Cachelab = Callable[..., "subprocess.CompletedProcess[str]"]

pytestmark = pytest.mark.slow

NO_FIGURES = "artifacts=[requests]"  # drawing takes longer than the run


@pytest.fixture
def database(tmp_path: Path, empty_database: Path) -> Path:
    """The tracking database of the folder that `cachelab` runs in."""
    return Path(shutil.copy(empty_database, tmp_path / "mlflow.db"))


@pytest.fixture
def cachelab(tmp_path: Path) -> Cachelab:
    """Runs cachelab in an empty folder; keyword arguments are environment variables.

    The process is forked from one that has imported the libraries.
    """

    def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        variables: dict[str, Any] = {"COLUMNS": "100"} | environment
        done = command.run(tmp_path, *arguments, limit_s=300, **variables)
        return subprocess.CompletedProcess(arguments, done.code, done.out, done.err)

    return run


@pytest.fixture
def new_cachelab(tmp_path: Path, repository: Path) -> Cachelab:
    """Like `cachelab`, in a new Python: what it imports, and what its libraries read when they are imported."""

    def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "HYDRA_"))}
        return subprocess.run(
            [sys.executable, "-m", "cachelab", *arguments],
            cwd=tmp_path,
            env=kept | {"PYTHONPATH": str(repository / "src"), "COLUMNS": "100"} | environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run


def runs(database: Path) -> list[tuple[str, str, str]]:
    """(id, name, status) of every run in an MLflow database."""
    with sqlite3.connect(database) as connection:
        return connection.execute("select run_uuid, name, status from runs order by start_time").fetchall()


def metrics(database: Path, run_id: str) -> dict[str, float]:
    """The numbers of a run, with its counts that are 0."""
    with sqlite3.connect(database) as connection:
        found = dict(connection.execute("select key, value from latest_metrics where run_uuid = ?", [run_id]))
        tags = dict(connection.execute("select key, value from tags where run_uuid = ?", [run_id]))
    return with_zero_counts(found, tags)


def one_line(done: "subprocess.CompletedProcess[str]", exit_code: int = 1) -> str:
    """The format_error of a failed command: exactly one line, its exit code, no traceback."""
    assert done.returncode == exit_code
    assert "Traceback" not in done.stderr + done.stdout
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_cli_alone_shows_what_can_be_run(new_cachelab: Cachelab) -> None:
    done = new_cachelab()
    assert done.returncode == 0
    for word in ("multi_turn", "by_conversation", "sharegpt", "mlflow", "python -m cachelab experiment=multi_turn"):
        assert word in done.stdout


def test_cli_help_names_groups_and_settings(new_cachelab: Cachelab) -> None:
    done = new_cachelab("--help")
    assert done.returncode == 0
    assert "order: all_at_once, by_arrival, by_conversation, by_turn, sessions, timed" in done.stdout
    assert "num_blocks: null" in done.stdout


@pytest.mark.parametrize("argument", ["--version", "--vers"])
def test_cli_version_is_cachelabs_own(cachelab: Cachelab, argument: str) -> None:
    done = cachelab(argument, "experiment=simple")
    assert done.returncode == 0
    assert re.fullmatch(r"cachelab \d+\.\d+\.\d+(\.dev\d+)? \(vLLM [\w.+]+\)\n", done.stdout)


def test_cli_compare_prints_tables_and_verdict(cachelab: Cachelab) -> None:
    for arm in ("multi_turn", "single_turn"):
        done = cachelab(f"experiment={arm}", "engine=replay", "tracking=none", NO_FIGURES, f"hydra.run.dir={arm}")
        assert done.returncode == 0, done.stderr
    done = cachelab("compare", "multi_turn", "single_turn/artifacts")
    assert (done.returncode, done.stderr) == (0, "")
    assert "multi_turn is higher than single_turn: +83.31 points" in done.stdout
    assert re.search(r"^trace\._target_ +cachelab\.trace\.multi_turn", done.stdout, re.M)


@pytest.mark.parametrize(
    ("arguments", "exit_code", "words"),
    [
        (["one"], 2, "compare: the following arguments are required: RUN_B"),
        (["one", "two"], 1, "there is no database"),
        (["one/two", "three"], 1, "one/two: there is no such folder"),
    ],
    ids=str,
)
def test_cli_compare_of_no_runs_is_one_line(
    cachelab: Cachelab, arguments: list[str], exit_code: int, words: str
) -> None:
    assert words in one_line(cachelab("compare", *arguments), exit_code)


def test_cli_cfg_job_shows_the_composed_config(cachelab: Cachelab) -> None:
    done = cachelab("experiment=multi_turn", "--cfg", "job")
    assert done.returncode == 0
    assert "num_blocks: 257" in done.stdout


def test_cli_info_defaults_shows_the_tree(cachelab: Cachelab) -> None:
    done = cachelab("experiment=multi_turn", "--info", "defaults")
    assert done.returncode == 0
    assert "filter/guide" in done.stdout


def test_cli_completion_offers_options(new_cachelab: Cachelab) -> None:
    done = new_cachelab("--shell-completion", "query=bash", COMP_LINE="cachelab order=", COMP_POINT="15")
    assert "order=by_turn" in done.stdout


def test_cli_simple_prints_three_turns_with_growing_hit_rates(cachelab: Cachelab, database: Path) -> None:
    done = cachelab("experiment=simple")
    assert done.returncode == 0, done.stderr
    (run_id, name, status) = runs(database)[0]
    assert (name, status) == ("simple", "FINISHED")
    with sqlite3.connect(database) as connection:
        rates = connection.execute(
            "select step, value from metrics where run_uuid = ? and key = 'turn/hit_rate' order by step", [run_id]
        ).fetchall()
    # turn 0: 17 prompt tokens = 2 full blocks of 8, nothing to hit; with 164 reply tokens, the last one's KV never
    #         computed, 17 + 164 - 1 = 180 tokens = 22 full blocks are cached
    # turn 1: 193 prompt tokens = 24 full blocks, of which those 22 hit; 193 + 286 - 1 = 478 tokens = 59 full blocks
    # turn 2: 491 prompt tokens = 61 full blocks, of which those 59 hit
    assert rates == [(0, 0.0), (1, 22 / 24), (2, 59 / 61)]
    assert metrics(database, run_id)["hit_rate/first_prefill"] == (0 + 22 + 59) / (2 + 24 + 61)
    turns = [line.split() for line in done.stdout.splitlines() if re.match(r"[012] +1 ", line)]
    assert turns == [
        ["0", "1", "0", "2", "0.00", "%"],
        ["1", "1", "22", "24", "91.67", "%"],
        ["2", "1", "59", "61", "96.72", "%"],
    ]


def test_cli_arms_show_the_effect_of_history(cachelab: Cachelab, database: Path) -> None:
    done = cachelab("--multirun", "experiment=multi_turn,single_turn", NO_FIGURES)
    assert done.returncode == 0, done.stderr
    found = {name: metrics(database, run_id) for run_id, name, _ in runs(database)}
    multi, single = found["multi_turn"], found["single_turn"]
    assert multi["requests/submitted"] == single["requests/submitted"] > 50
    assert multi["hit_rate/first_prefill"] > 0.5 > 0.1 > single["hit_rate/first_prefill"]
    assert all(m["requests/submitted"] == m["requests/completed"] + m["requests/rejected"] for m in (multi, single))


def test_cli_run_leaves_every_artifact(cachelab: Cachelab, tmp_path: Path, database: Path) -> None:
    done = cachelab("experiment=multi_turn", "filter.max_conversations=5", "hydra.run.dir=out")
    assert done.returncode == 0, done.stderr
    (run_id, name, status) = runs(database)[0]
    assert (name, status) == ("multi_turn filter.max_conversations=5", "FINISHED")
    logged = {
        str(path.relative_to(folder))
        for folder in tmp_path.glob(f"mlartifacts/*/{run_id}/artifacts")
        for path in folder.rglob("*")
    }
    assert {
        "config.yaml",
        "trace.jsonl.gz",
        "requests.parquet",
        "blocks.parquet",
        "per_turn.csv",
        "losses_per_turn.csv",
        "capacity.csv",
        "figures/capacity.svg",
        "figures/losses.svg",
        "summary.md",
        "cachelab.log",
        "figures",
    } <= logged
    with sqlite3.connect(database) as connection:
        params = dict(connection.execute("select key, value from params where run_uuid = ?", [run_id]))
    assert params["engine.num_blocks"] == "257"
    assert params["filter.max_conversations"] == "5"


def test_cli_trace_reads_back_to_the_same_numbers(cachelab: Cachelab, tmp_path: Path, database: Path) -> None:
    first = cachelab("experiment=multi_turn", "filter.max_conversations=5", "artifacts=[trace]", "hydra.run.dir=out")
    assert first.returncode == 0, first.stderr
    trace = next(tmp_path.glob("out/**/trace.jsonl.gz"))
    again = cachelab("experiment=multi_turn", "filter=none", "dataset=trace", f"dataset.path={trace}", NO_FIGURES)
    assert again.returncode == 0, again.stderr
    one, two = (metrics(database, run_id) for run_id, _, _ in runs(database))
    same = [key for key in one if key.startswith(("hit_rate/", "blocks/", "latency/", "turn/", "requests/"))]
    assert len(same) > 20
    assert {key: one[key] for key in same} == {key: two[key] for key in same}


def test_cli_unfiltered_accounts_for_rejected_requests(cachelab: Cachelab, database: Path) -> None:
    done = cachelab("experiment=unfiltered", "engine.max_model_len=512", NO_FIGURES)
    assert done.returncode == 0, done.stderr
    found = metrics(database, runs(database)[0][0])
    assert found["requests/submitted"] == 328 == found["requests/completed"] + found["requests/rejected"]
    assert found["requests/rejected"] > 0
    assert "max_model_len 512" in done.stdout


def test_cli_tracking_none_leaves_files_only(cachelab: Cachelab, tmp_path: Path) -> None:
    done = cachelab("experiment=simple", "tracking=none", NO_FIGURES, "hydra.run.dir=out")
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "mlflow.db").exists()
    assert next(tmp_path.glob("out/**/metrics.json"))


def test_cli_objective_that_is_undefined_costs_no_run(cachelab: Cachelab, database: Path) -> None:
    # there is no host tier: the second one is undefined, which nobody but a sweeper minds
    done = cachelab("experiment=simple", "objective=[hit_rate/first_prefill,hit_rate/vllm_cpu]", NO_FIGURES)
    assert done.returncode == 0
    assert "objective: hit_rate/vllm_cpu is absent: no host tier (KV connector) is on" in done.stderr
    (run_id, _, status) = runs(database)[0]
    assert status == "FINISHED"
    assert metrics(database, run_id)["requests/completed"] == 3


def test_cli_objective_that_no_run_has_is_refused_before_the_engine_starts(cachelab: Cachelab) -> None:
    line = one_line(cachelab("experiment=simple", "objective=[hit_rate/frist_prefill]", "tracking=none"), 2)
    assert "no metric hit_rate/frist_prefill" in line


def test_cli_terminated_run_is_killed_with_its_log(tmp_path: Path, database: Path, repository: Path) -> None:
    error_file = tmp_path / "err"
    process = subprocess.Popen(
        [sys.executable, "-m", "cachelab", "experiment=unfiltered", "hydra.run.dir=out"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(repository / "src")},
        stdout=subprocess.DEVNULL,
        stderr=error_file.open("w"),
    )
    try:
        while not runs(database) and process.poll() is None:
            time.sleep(0.05)
        process.terminate()
        assert process.wait(timeout=60) == 128 + signal.SIGTERM
    finally:
        process.kill()
    assert [status for _, _, status in runs(database)] == ["KILLED"]
    assert re.search(r"^cachelab: interrupted: .* configuration and log are in .*out$", error_file.read_text(), re.M)
    assert {"config.yaml", "cachelab.log"} <= {path.name for path in tmp_path.glob("mlartifacts/**/*")}
    assert not (tmp_path / "out" / "artifacts").exists()


BAD_FILES = {
    "truncated": (b'[{"id": "a", "conversations": [{"from": "human"', "line 1"),
    "not_utf8": (b'[{"id": "a", "conversations": [{"from": "human", "value": "\xff"}]}]', "UTF-8"),
    "empty_array": (b"[]", "empty"),
    "wrong_schema": (json.dumps([{"id": "a", "messages": []}]).encode(), "conversations"),
    "no_array": (json.dumps({"id": "a"}).encode(), "array"),
}


@pytest.mark.parametrize("mess", BAD_FILES)
def test_cli_bad_file_is_one_line_and_a_failed_run(
    cachelab: Cachelab, tmp_path: Path, database: Path, mess: str
) -> None:
    content, word = BAD_FILES[mess]
    (tmp_path / "chats.json").write_bytes(content)
    line = one_line(
        cachelab("experiment=multi_turn", "dataset=sharegpt", "dataset.path=chats.json", "hydra.run.dir=out")
    )
    assert "chats.json" in line
    assert word in line
    assert [status for _, _, status in runs(database)] == ["FAILED"]
    kept = {path.name for path in tmp_path.glob("mlartifacts/**/*") if path.is_file()}
    assert {"config.yaml", "cachelab.log"} <= kept
    assert "summary.md" not in kept
    assert {path.name for path in (tmp_path / "out").iterdir()} == {".hydra", "cachelab.log", "result.json"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["dataset=sharegpt", "dataset.path=nowhere.json"], ["nowhere.json"]),
        (["engine.block_size=0"], ["engine.block_size", "0"]),
        (["engine.block_size=many"], ["engine.block_size", "many"]),
        (["engine.num_blocks=10"], ["engine.num_blocks", "257"]),
        (["filter.keep=half"], ["filter.keep", "whole"]),
        (["filter.min_turns=5", "filter.max_turns=2"], ["filter.min_turns", "max_turns"]),
        (["filter.min_turns=50"], ["filter", "keeps none"]),
        (["order=backwards"], ["order=backwards", "by_turn"]),
        (["engine.blok_size=8"], ["engine.blok_size"]),
        (["+engine.blok_size=8"], ["did you mean engine.block_size?"]),
        (["nonsense=1"], ["nonsense"]),
        (["engine.num_blcks=8"], ["did you mean engine.num_blocks?"]),
        (["enginee=replay"], ["did you mean engine?"]),
        (["experimnt=simple"], ["did you mean experiment?"]),
        (["order=by_tunr"], ["did you mean by_turn?"]),
        (["engine=sim", "engine/policy=ttl"], ["engine/policy", "with this option of engine"]),
        (["multi_turn"], ["did you mean experiment=multi_turn?"]),
        (["--engine=replay"], ["did you mean engine=replay?"]),
        (["--multrun"], ["did you mean --multirun?"]),
        (["engine.num_blocks=", "300"], ["write it without the blank: engine.num_blocks=300"]),
        (["engine.num_blocks=257,512"], ["add --multirun"]),
        (["order._target_=os.system"], ["order"]),
        (["objective=[]"], ["objective"]),
        (["metrics.hit_rate=no.such.thing"], ["metrics.hit_rate", "plugins=[no]"]),
        (["engine.args={no_such_field: 1}"], ["engine.args.no_such_field", "EngineArgs"]),
        (["+engine.args.no_such_field=1"], ["engine.args.no_such_field", "EngineArgs"]),
        (["+engine.args.max_num_seqs=8"], ["engine.args.max_num_seqs", "set engine.max_num_seqs"]),
        (["engine.cost.step_s=0"], ["engine.cost.step_s"]),
        (["dataset=trace"], ["dataset.path"]),
        (["dataset=null"], ["dataset"]),
        (["engine.num_blocks=100000000000000000000"], ["engine.num_blocks", "less than or equal to"]),
        (["engine.cost.step_s=1e300"], ["engine.cost.step_s", "3600"]),
        (["dataset=sharegpt", "dataset.path='~nosuchuser/x'"], ["dataset.path", "home directory"]),
        (["hydra.run.dir=/proc/no/such"], ["hydra.run.dir", "/proc/no"]),
        (["engine.block_size=${oops}"], ["engine.block_size", "oops"]),
        (["plugins=[nope]"], ["plugins", "nope"]),
        (["sweep.skip_finished=maybe"], ["sweep.skip_finished", "maybe"]),
        (["artifacts=[trace,trace]"], ["artifacts", "twice"]),
        (["--config-name=other"], ["--config-name"]),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else value,
)
def test_cli_bad_argument_is_one_line_and_leaves_no_folder(
    cachelab: Cachelab, tmp_path: Path, arguments: list[str], words: list[str]
) -> None:
    # a field that only vLLM knows is found when the run has begun
    exit_code = 1 if "no_such_field" in arguments[-1] else 2
    line = one_line(cachelab("experiment=multi_turn", "tracking=none", *arguments), exit_code)
    assert all(word in line for word in words), line
    begun = exit_code == 1 or "filter.min_turns=50" in arguments
    assert (tmp_path / "outputs").exists() == begun


def test_cli_unwritable_tracking_database_is_one_line_before_any_work(cachelab: Cachelab, tmp_path: Path) -> None:
    (tmp_path / "taken.db").mkdir()
    line = one_line(cachelab("experiment=simple", "tracking.uri=sqlite:///taken.db"))
    assert "tracking.uri" in line
    (tmp_path / "text.db").write_text("this is no database, whatever its name says " * 50)
    assert "text.db" in one_line(cachelab("experiment=simple", "tracking.uri=sqlite:///text.db"))


def test_cli_honours_the_tracking_uri_of_the_environment(cachelab: Cachelab, tmp_path: Path) -> None:
    done = cachelab(
        "experiment=simple", "engine=replay", NO_FIGURES, MLFLOW_TRACKING_URI=f"sqlite:///{tmp_path}/elsewhere.db"
    )
    assert done.returncode == 0, done.stderr
    assert len(runs(tmp_path / "elsewhere.db")) == 1
    assert not (tmp_path / "mlflow.db").exists()


def test_cli_full_error_shows_the_trace(new_cachelab: Cachelab) -> None:
    done = new_cachelab("experiment=simple", "dataset=sharegpt", "dataset.path=nowhere.json", HYDRA_FULL_ERROR="1")
    assert done.returncode != 0
    assert re.search(r"Traceback[\s\S]+ConfigError", done.stderr)


def test_cli_typo_is_one_line_and_leaves_nothing(new_cachelab: Cachelab, tmp_path: Path) -> None:
    for argument in ("multi_turn", "engine.num_blcks=8", "filter.keep=half", "dataset.path=nowhere.json"):
        one_line(new_cachelab(argument), 2)
    assert list(tmp_path.iterdir()) == []


def test_cli_missing_file_names_the_nearest_one(cachelab: Cachelab, tmp_path: Path) -> None:
    (tmp_path / "chats.jsonl").write_text("{}")
    assert "did you mean chats.jsonl?" in one_line(cachelab("dataset.path=chat.jsonl"), 2)
    assert not (tmp_path / "outputs").exists()
    assert not (tmp_path / "mlflow.db").exists()


def test_cli_failing_job_of_a_sweep_prints_its_reason(cachelab: Cachelab, tmp_path: Path) -> None:
    done = cachelab("--multirun", "engine=replay", "engine.num_blocks=257,1", "experiment=simple", "tracking=none")
    assert one_line(done).startswith("cachelab: engine.num_blocks")
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("#1 ") and ": failed: " in line]
    assert "engine.num_blocks" in line


def test_cli_real_sharegpt_reproduces_the_independent_count(
    cachelab: Cachelab, database: Path, real_sharegpt: Path
) -> None:
    # An independent count for an unlimited cache (blocks of 8, Tekken): 131 conversations, 338 requests, 0.834, 0.018.
    done = cachelab(
        "--multirun", "experiment=multi_turn,single_turn", "dataset=sharegpt", f"dataset.path={real_sharegpt}"
    )
    assert done.returncode == 0, done.stderr
    sweep, multi, single = (metrics(database, run_id) for run_id, _, _ in runs(database))
    assert sweep["comparison/difference"] == pytest.approx(0.819, abs=0.005)
    assert sweep["comparison/difference_low"] > 0.7
    assert "multi_turn is higher than single_turn: +81." in done.stdout
    assert multi["filter/conversations_kept"] == single["filter/conversations_kept"] == pytest.approx(131, abs=2)
    assert multi["hit_rate/ideal"] == pytest.approx(0.834, abs=0.005)
    assert single["hit_rate/ideal"] == pytest.approx(0.018, abs=0.001)
    assert multi["trace/prefix_breaks"] == 0


def test_cli_all_real_conversations_are_accounted_for(cachelab: Cachelab, database: Path, real_sharegpt: Path) -> None:
    done = cachelab(
        "dataset=sharegpt",
        f"dataset.path={real_sharegpt}",
        "filter=none",
        "engine.max_model_len=8192",
        "order=sessions",
        "order.num_users=8",
        NO_FIGURES,
    )
    assert done.returncode == 0, done.stderr
    found = metrics(database, runs(database)[0][0])
    assert found["dataset/conversations"] + found["dataset/conversations_without_human"] == 700
    assert (
        found["requests/submitted"]
        == found["dataset/turns"]
        == found["requests/completed"] + found["requests/rejected"]
    )


def test_cli_real_model_runs_offline_with_latencies_and_figures(new_cachelab: Cachelab, tmp_path: Path) -> None:
    done = new_cachelab("experiment=simple", "engine=cpu", HF_HUB_OFFLINE="1", XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "history=recorded" in done.stdout
    assert "simulated" not in done.stdout
    found = metrics(tmp_path / "mlflow.db", runs(tmp_path / "mlflow.db")[0][0])
    assert found["requests/completed"] == 3
    for name in ("ttft_p50_s", "ttft_p95_s", "ttft_mean_s", "tpot_p50_s", "e2e_p95_s"):
        assert found[f"latency/{name}"] > 0
    # prompts repeat the dataset's replies: what an unlimited cache would find is what the last prompt left
    assert found["hit_rate/of_ideal"] == 1
    kept = {path.name for path in tmp_path.glob("mlartifacts/**/*") if path.is_file()}
    assert {"ttft_by_cached_tokens.svg", "trace_as_run.jsonl.gz", "requests.parquet"} <= kept


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["engine=cpu", "engine.model=empty"], ["engine.model empty", "config.json"]),
        (["engine=cpu", "engine.num_blocks=null", "engine.kv_cache_memory_bytes=99999"], ["kv_cache_memory_bytes"]),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else value,
)
def test_cli_real_model_that_cannot_run_is_one_line_and_a_failed_run(
    cachelab: Cachelab, tmp_path: Path, arguments: list[str], words: list[str]
) -> None:
    (tmp_path / "empty").mkdir()
    line = one_line(cachelab("experiment=simple", *arguments))
    assert all(word in line for word in words), line
    assert [status for _, _, status in runs(tmp_path / "mlflow.db")] == ["FAILED"]
    assert [path.name for path in tmp_path.glob("mlartifacts/**/*.log")]


def test_cli_host_tier_is_hit(cachelab: Cachelab, tmp_path: Path) -> None:
    done = cachelab("experiment=host_tier", "filter.max_conversations=12", "engine.num_blocks=514", NO_FIGURES)
    assert done.returncode == 0, done.stderr
    found = metrics(tmp_path / "mlflow.db", runs(tmp_path / "mlflow.db")[0][0])
    both = found["hit_rate/first_prefill"] + found["hit_rate/first_prefill_host"]
    assert found["hit_rate/vllm_cpu"] > 0
    assert found["hit_rate/first_prefill_host"] > 0
    assert found["hit_rate/first_prefill_all_tiers"] == pytest.approx(both)


def test_cli_capacity_of_a_block_trace(cachelab: Cachelab, tmp_path: Path, mooncake: Path) -> None:
    done = cachelab("experiment=capacity", "dataset=block_trace", f"dataset.path={mooncake}")
    assert done.returncode == 0, done.stderr
    assert "as in other tools for block traces" in done.stdout
    assert "of 288,500 listed prompt blocks)" in done.stdout  # the rows' hash_ids, partial last blocks too
    ((run_id, _, status),) = runs(tmp_path / "mlflow.db")
    assert status == "FINISHED"
    found = metrics(tmp_path / "mlflow.db", run_id)
    names = ("ideal", "ideal_tokens", "ideal_per_request_mean", "ideal_steady")
    ceilings = [found[f"hit_rate/{name}"] for name in names]
    assert [round(100 * value, 1) for value in ceilings] == [36.6, 37.4, 40.9, 39.8]
    assert sum(value for name, value in found.items() if name.startswith("losses/")) == pytest.approx(1)
    assert found["capacity/knee_blocks"] == 52_882
    (figure,) = tmp_path.glob("mlartifacts/**/artifacts/figures/capacity.svg")
    assert figure.stat().st_size > 20_000


def test_cli_bad_block_trace_is_one_line(cachelab: Cachelab, tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    good = '{"input_length": 600, "output_length": 1, "hash_ids": [1, 2]}'
    path.write_text(f"{good}\n" + '{"input_length": 600, "hash_ids": [1, 2]}\n')
    line = one_line(cachelab("experiment=capacity", "dataset=block_trace", f"dataset.path={path}", "tracking=none"))
    assert f"{path}: line 2: field output_length is missing" in line


def test_cli_recognises_a_file_and_says_what_it_took_it_for(cachelab: Cachelab, tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    rows = [
        '{"session_id": "a", "input_length": 1300, "output_length": 300, "hash_ids": [1, 2, 3], "timestamp": 0}',
        '{"session_id": "a", "input_length": 40, "output_length": 5, "hash_ids": [4], "delay": 20.5}',
    ]
    path.write_text("\n".join(rows))
    done = cachelab("engine=replay", "engine.block_size=512", f"dataset.path={path}", "tracking=none")
    assert done.returncode == 0, done.stderr
    assert " ".join(done.stdout.split()).startswith(
        f"{path}: read as dataset=block_trace (rows with hash_ids and session_id, AIPerf's sessions)"
    )
    assert "(3 of 5 full prompt blocks)" in done.stdout  # 2 + 3 full blocks; the first leaves 1,599 tokens, 3 blocks
    assert "2 of 2 requests completed" in done.stdout
    path.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n1,2,3\n")
    assert "it holds neither text nor block ids" in one_line(cachelab(f"dataset.path={path}", "tracking=none"))


def test_cli_sweep_of_orders_lays_its_curves_over_one_another(cachelab: Cachelab, tmp_path: Path) -> None:
    done = cachelab(
        "--multirun", "experiment=capacity", "order=by_arrival,by_turn", "tracking=none", "filter.max_conversations=20"
    )
    assert done.returncode == 0, done.stderr
    (figure,) = tmp_path.glob("multirun/*/*/capacity_overlay.png")
    assert figure.stat().st_size > 10_000


def test_cli_run_without_its_objective_is_finished(cachelab: Cachelab, database: Path) -> None:
    done = cachelab("experiment=simple", "engine=replay", "engine.max_model_len=4", NO_FIGURES)
    assert done.returncode == 0, done.stderr
    assert [status for *_, status in runs(database)] == ["FINISHED"]
    (line,) = done.stderr.strip().splitlines()
    assert "objective: hit_rate/first_prefill is absent: no request completed (3 rejected: prompt of" in line


def test_cli_parameters_are_what_a_block_trace_used(cachelab: Cachelab, database: Path, tmp_path: Path) -> None:
    rows = [{"input_length": 1024, "output_length": 9, "hash_ids": [n, n + 1], "timestamp": n} for n in (0, 2, 4)]
    (tmp_path / "trace.jsonl").write_text("\n".join(map(json.dumps, rows)))
    done = cachelab("experiment=capacity", "dataset=block_trace", "dataset.path=trace.jsonl")
    assert done.returncode == 0, done.stderr  # no block is used twice: there is no knee
    assert "capacity/knee_blocks is absent: an unlimited cache hits nothing" in done.stderr
    ((run_id, _, status),) = runs(database)
    assert status == "FINISHED"
    with sqlite3.connect(database) as connection:
        parameters = dict(connection.execute("select key, value from params where run_uuid = ?", [run_id]))
        tags = dict(connection.execute("select key, value from tags where run_uuid = ?", [run_id]))
    assert (parameters["engine.block_size"], parameters["engine.rules"]) == ("512", "trace")
    assert not any(key.startswith(("tokenizer.", "engine.max_model_len")) for key in parameters)
    assert "cachelab.vllm_version" not in tags
    assert not any(name.startswith("hit_rate/vllm_gpu") for name in metrics(database, run_id))
    (record,) = tmp_path.glob("outputs/*/*/result.json")
    assert json.loads(record.read_text())["parameters"] == parameters
    (settings,) = tmp_path.glob("outputs/*/*/artifacts/summary.md")
    shown = settings.read_text()
    assert "| engine | replay | block_size=512 max_num_seqs=1" in shown
    assert "| tokenizer | - | not used |" in shown
    assert "block_size=16" not in shown + done.stdout


def test_cli_settings_name_the_option(cachelab: Cachelab) -> None:
    arguments = ("experiment=multi_turn", "engine=replay", "tracking=none", "filter.max_conversations=3", NO_FIGURES)
    done = cachelab(*arguments, "report.verbose=true")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^filter +guide +min_turns=2", done.stdout, re.M)
    assert "thresholds" not in done.stdout


def test_cli_takes_constraints_where_there_are_none_yet(cachelab: Cachelab, database: Path) -> None:
    bound = 'objective_constraints={requests/completed: ">= 500"}'
    done = cachelab("experiment=simple", "engine=replay", bound, NO_FIGURES)
    assert done.returncode == 0, done.stderr
    ((run_id, _, status),) = runs(database)
    with sqlite3.connect(database) as connection:
        tags = dict(connection.execute("select key, value from tags where run_uuid = ?", [run_id]))
    assert (status, tags["cachelab.feasible"]) == ("FINISHED", "false")
