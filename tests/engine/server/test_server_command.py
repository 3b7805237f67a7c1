"""engine=server on the command line: exit codes, what a failed or interrupted run leaves, and a sweep that goes on."""

import json
import os
import re
import shutil
import signal
import sqlite3
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from faults import command
from faults.command import Done
from scripted_server import ScriptedServer, scripted

pytestmark = pytest.mark.slow

ARGUMENTS = ("experiment=multi_turn", "engine=server", "filter.max_conversations=4", "filter.max_prompt_tokens=200")


@pytest.fixture(autouse=True)
def _database(tmp_path: Path, empty_database: Path) -> None:
    shutil.copy(empty_database, tmp_path / "mlflow.db")


def run(folder: Path, server: ScriptedServer, *arguments: str) -> Done:
    return command.run(folder, *ARGUMENTS, f"engine.url={server.url}", *arguments)


def requests_of(folder: Path) -> dict[str, list[Any]]:
    table: dict[str, list[Any]] = pyarrow.parquet.read_table(folder / "artifacts" / "requests.parquet").to_pydict()
    return table


def statuses(folder: Path) -> list[str]:
    with sqlite3.connect(folder / "mlflow.db") as database:
        return [status for (status,) in database.execute("select status from runs order by start_time")]


def test_failed_request_ends_the_run_as_failed_with_what_had_ended(tmp_path: Path) -> None:
    with scripted("ok", "ok", "fault") as server:
        done = run(tmp_path, server, "hydra.run.dir=out")
    assert done.code == 1
    assert "Traceback" not in done.err
    last = done.err.strip().splitlines()[-1]
    assert last.startswith("cachelab: request ")
    assert "failed after 2 completed requests: InternalServerError" in last
    assert statuses(tmp_path) == ["FAILED"]
    outcomes = requests_of(tmp_path / "out")["outcome"]
    assert outcomes.count("completed") == 2
    assert outcomes.count("rejected") == len(outcomes) - 2


def test_recorded_failures_do_not_end_the_run(tmp_path: Path) -> None:
    script = ("ok", "fault", "cut", "reset", "malformed", "no_key")
    with scripted(*script) as server:
        done = run(tmp_path, server, "hydra.run.dir=out", "tracking=none", "engine.on_error=record")
    assert (done.code, "Traceback" in done.err) == (0, False), done.err
    assert "5 requests failed at the server" in " ".join(done.out.split())
    assert requests_of(tmp_path / "out")["outcome"].count("rejected") == 5


def test_run_of_which_no_request_completed_has_failed_with_its_files(tmp_path: Path) -> None:
    with scripted(*["fault"] * 20) as server:
        done = run(tmp_path, server, "hydra.run.dir=out", "engine.on_error=record")
    assert done.code == 1, done.err
    last = done.err.strip().splitlines()[-1]
    said = r"cachelab: 0 of 8 requests completed; the first one, .*500.* What had ended is in .*/out/artifacts$"
    assert re.match(said, last)
    assert statuses(tmp_path) == ["FAILED"]
    assert requests_of(tmp_path / "out")["outcome"] == ["rejected"] * 8


@pytest.mark.parametrize("kind", ["vllm", "plain"])
def test_hits_that_the_server_does_not_say_are_absent(tmp_path: Path, kind: str) -> None:
    with scripted(*["no_cached"] * 50, kind=kind) as server:
        done = run(tmp_path, server, "hydra.run.dir=out", "tracking=none")
    assert (done.code, "Traceback" in done.err) == (0, False), done.err
    assert "the hit metrics are absent" in " ".join(done.out.split())
    values = json.loads((tmp_path / "out" / "artifacts" / "metrics.json").read_text())["values"]
    assert "hit_rate/ideal" in values
    assert "hit_rate/first_prefill" not in values
    assert ("hit_rate/vllm_gpu" in values) == (kind == "vllm")
    assert set(requests_of(tmp_path / "out")["cached_tokens"]) == {None}
    assert (tmp_path / "out" / "artifacts" / "report.html").exists()


def test_interrupted_run_is_killed_with_what_had_ended(tmp_path: Path) -> None:
    with scripted("ok", "ok", "hang") as server:
        started, url = time.monotonic(), f"engine.url={server.url}"
        process = command.begin(tmp_path, *ARGUMENTS, url, "hydra.run.dir=out", "engine.timeout_s=60")
        while len(server.bodies) < 3 and process.poll() is None:
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGINT)
        done = command.end(process, tmp_path, started)
    assert done.code == 130, done.err
    assert "Traceback" not in done.err
    assert statuses(tmp_path) == ["KILLED"]
    table = requests_of(tmp_path / "out")
    assert table["outcome"].count("completed") == 2
    reasons = [reason.partition(":")[0] for reason in table["reason"] if reason]
    assert reasons.count("cancelled while it ran") == 1


def test_sweep_goes_on_after_a_failed_job(tmp_path: Path) -> None:
    with scripted("fault") as server:
        done = run(tmp_path, server, "--multirun", "engine.max_output_tokens=4,5")
    assert (done.code, "Traceback" in done.err) == (1, False), done.err
    assert "2 jobs: 1 failed, 1 finished" in done.out
    assert sorted(statuses(tmp_path)) == ["FAILED", "FAILED", "FINISHED"]  # the sweep, the first job, the second
