"""Sweeps as a user meets them: compared, killed, run side by side, on one SQLite file."""

import os
import re
import signal
import sqlite3
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from faults import command
from faults.processes import Fresh, wait

pytestmark = pytest.mark.slow

NO_FIGURES = "artifacts=[requests]"  # drawing takes longer than the run
JOBS = ("--multirun", "experiment=multi_turn", "filter.max_conversations=6")
GRID = (*JOBS, "engine.num_blocks=257,300")
SEARCH = (
    "--multirun",
    "experiment=tune_filter",
    "engine=replay",
    "hydra.sweeper.n_trials=5",
    "objective_constraints={requests/completed: '>= 5'}",
)


def finished(folder: Path, *arguments: str) -> tuple[str, str]:
    """stdout and stderr of a command that ended well."""
    done = command.run(folder, *arguments, limit_s=500)
    assert done.code == 0, done.err
    return done.out, done.err


def table(folder: Path) -> list[dict[str, Any]]:
    """The latest sweep's jobs without what differs from run to run."""
    path = max(folder.glob("multirun/*/*/sweep/jobs.parquet"))
    drop = {"run_id", "duration_s", "overrides"}
    return [
        {key: value for key, value in row.items() if key not in drop}
        for row in pyarrow.parquet.read_table(path).to_pylist()
    ]


def section_of(file: Path, title: str) -> str:
    """The part of a Markdown file below this heading."""
    return file.read_text(encoding="utf-8").partition(f"## {title}\n")[2].partition("\n## ")[0]


def query(database: Path, sql: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(database) as connection:
        return connection.execute(sql).fetchall()


def complete_trials(database: Path) -> int:
    """How many trials of a study are complete; 0 as long as there is no study."""
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            ((number,),) = connection.execute("select count(*) from trials where state = 'COMPLETE'").fetchall()
    except sqlite3.OperationalError:
        return 0
    return int(number)


def test_sweep_compares_its_jobs_with_the_baseline(tmp_path: Path) -> None:
    out, _ = finished(tmp_path, *GRID, NO_FIGURES, "comparison.baseline=engine.num_blocks=257")
    assert "300 blocks against 257 blocks" in out
    assert "no difference shown between 300 blocks and 257 blocks" in out


def test_sweep_joblib_gives_the_serial_table_under_one_parent(tmp_path: Path) -> None:
    jobs = (*JOBS, "engine=sim,replay", NO_FIGURES)  # one worker with vLLM and one without
    finished(tmp_path / "serial", *jobs)
    joblib = Fresh(tmp_path / "joblib", *jobs, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    assert wait(joblib, 500) == 0, (tmp_path / "joblib" / "err").read_text()
    assert table(tmp_path / "joblib") == table(tmp_path / "serial")
    database = tmp_path / "joblib" / "mlflow.db"
    parents = query(database, "select value, count(*) from tags where key = 'mlflow.parentRunId' group by value")
    assert [number for _, number in parents] == [2]
    logged = {path.name for path in tmp_path.glob(f"joblib/mlartifacts/*/{parents[0][0]}/artifacts/*")}
    assert {"jobs.csv", "jobs.parquet", "comparison.md", "figures", "multirun.yaml", "config.yaml"} <= logged


def test_sweep_killed_search_is_completed_by_the_same_command(tmp_path: Path) -> None:
    first = command.begin(tmp_path / "killed", *SEARCH)
    while complete_trials(tmp_path / "killed" / "optuna.db") < 2:
        assert first.poll() is None
        time.sleep(0.02)
    os.kill(first.pid, signal.SIGKILL)
    assert wait(first) == -signal.SIGKILL
    _, err = finished(tmp_path / "killed", *SEARCH)
    assert "resumed: it was killed; 2 finished jobs are kept" in err
    killed = tmp_path / "killed"
    assert Counter(status for (status,) in query(killed / "mlflow.db", "select status from runs")) == {"FINISHED": 6}
    assert query(killed / "optuna.db", "select count(*) from trials where state = 'COMPLETE'") == [(5,)]
    finished(tmp_path / "undisturbed", *SEARCH)
    assert table(killed) == table(tmp_path / "undisturbed")


def test_sweep_failed_job_is_in_the_table_with_its_reason(tmp_path: Path) -> None:
    done = command.run(tmp_path, "--multirun", "experiment=simple", "filter.min_turns=3,50", NO_FIGURES, limit_s=500)
    assert done.code == 1
    (line,) = done.err.strip().splitlines()
    assert line.startswith("cachelab: filter")
    good, bad = table(tmp_path)
    assert (good["status"], bad["status"]) == ("FINISHED", "FAILED")
    assert "min_turns" in bad["reason"]
    assert "2 jobs: 1 finished, 1 failed" in done.out
    (page,) = tmp_path.glob("multirun/*/*/sweep/report.html")
    typed = "python -m cachelab --multirun experiment=simple filter.min_turns=3,50 &#39;artifacts=[requests]&#39;</pre>"
    assert typed in page.read_text("utf-8")


def test_sweep_refuses_a_server_that_is_away_before_any_work(tmp_path: Path) -> None:
    done = command.run(tmp_path, *GRID, "tracking.uri=http://127.0.0.1:9")
    assert done.code == 1
    (line,) = done.err.strip().splitlines()
    assert "tracking.uri=http://127.0.0.1:9" in line
    assert not (tmp_path / "multirun").exists()


def test_sweep_of_an_order_that_needs_times_is_refused_once_on_data_without(tmp_path: Path) -> None:
    done = command.run(tmp_path, "--multirun", "experiment=retention")
    assert (done.code, done.out) == (2, "")
    (line,) = done.err.strip().splitlines()
    assert line.startswith("cachelab: order.start: trace needs the time")
    assert line.endswith(
        "none of the 99 conversations of cachelab/dataset/sample.json has one: set order.start=poisson or uniform"
    )
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".txt"]


def test_sweep_that_is_refused_before_its_first_job_prints_no_table(tmp_path: Path) -> None:
    done = command.run(tmp_path, "--multirun", "engine=replay,nosuch")
    assert (done.code, done.out) == (2, "")
    (line,) = done.err.strip().splitlines()
    assert line.startswith("cachelab: engine=nosuch: there is no such option")
    assert query(tmp_path / "mlflow.db", "select status from runs") == [("FAILED",)]
    ((reason,),) = query(tmp_path / "mlflow.db", "select value from tags where key = 'cachelab.error'")
    assert f"cachelab: {reason}" == line


def test_store_takes_100_jobs_of_8_processes_at_once(tmp_path: Path) -> None:
    database = tmp_path / "mlflow.db"
    log_one((str(database), -1))  # a sweep's parent makes the database
    workers = get_context("forkserver")  # which imports MLflow once
    workers.set_forkserver_preload(["cachelab.tracking.mlflow.run", "mlflow.store.tracking.sqlalchemy_store"])
    with ProcessPoolExecutor(8, mp_context=workers) as pool:
        done = list(pool.map(log_one, [(str(database), number) for number in range(100)]))
    assert done == [None] * 100  # nothing was untracked
    assert query(database, "select status, count(*) from runs group by status") == [("FINISHED", 101)]
    assert query(database, "select count(*) from latest_metrics where key = 'hit_rate/first_prefill'") == [(101,)]


def log_one(job: tuple[str, int]) -> str | None:
    """Track one small job as a sweep's worker does; why it could not be, if so."""
    from cachelab.metrics.base import Numbers
    from cachelab.tracking.mlflow.tracking import MlflowTracking
    from cachelab.tracking.offline import FallbackRun
    from jobs import described

    database, number = job
    description = described(Path(database).parent, "parent", number, f"d{number}")
    tracking = MlflowTracking(f"sqlite:///{database}", "many", None, {})
    with FallbackRun(tracking, description) as run:
        run.log_workload({"filter/conversations_kept": 3.0})
        run.log_result(
            Numbers({"hit_rate/first_prefill": 0.5}, {"turn/hit_rate": {0: 0.1, 1: 0.9}}), description.output_dir
        )
    return run.untracked


def test_sweep_whose_jobs_keep_no_files_is_reported_without_a_comparison(tmp_path: Path) -> None:
    out, _ = finished(tmp_path, *GRID, "engine=replay", "artifacts=[]")
    assert "2 jobs: 2 finished" in out
    assert "wrote no requests.parquet" in out
    assert len(table(tmp_path)) == 2
    assert query(tmp_path / "mlflow.db", "select distinct status from runs") == [("FINISHED",)]


def test_search_whose_trials_all_fail_says_so_and_fails(tmp_path: Path) -> None:
    nowhere = ("engine=replay", "dataset=sharegpt", "dataset.path=nowhere.json", "hydra.sweeper.n_trials=2")
    done = command.run(tmp_path, "--multirun", "experiment=tune_filter", *nowhere, limit_s=200)
    assert done.code == 1
    assert done.err.strip().splitlines()[-1].startswith("cachelab: hydra.sweeper: all 2 trials of tune_filter failed")
    assert [row["status"] for row in table(tmp_path)] == ["FAILED", "FAILED"]


def test_search_whose_filter_keeps_nothing_has_infeasible_trials(tmp_path: Path) -> None:
    nothing = (
        "--multirun",
        "experiment=tune_filter",
        "engine=replay",
        "filter.max_prompt_tokens=1",
        "hydra.sweeper.n_trials=2",
    )
    out, _ = finished(tmp_path, *nothing)
    assert "no best trial: no feasible one among 2 trials of study tune_filter (2 infeasible)" in out
    assert "#0 " in out
    assert ": infeasible: filter: keeps none of 99 conversations" in out
    rows = table(tmp_path)
    assert [row["status"] for row in rows] == ["FINISHED", "FINISHED"]
    assert all(row["reason"].startswith("filter: keeps none of 99 conversations") for row in rows)
    assert query(tmp_path / "mlflow.db", "select distinct status from runs") == [("FINISHED",)]
    tagged = query(
        tmp_path / "mlflow.db", "select value, count(*) from tags where key = 'cachelab.feasible' group by value"
    )
    assert tagged == [("false", 2)]
    assert query(tmp_path / "optuna.db", "select count(*) from trials where state = 'COMPLETE'") == [(2,)]


def test_search_does_not_resume_another_studys_parent(tmp_path: Path) -> None:
    search = ("--multirun", "experiment=tune_filter", "engine=replay")
    first = command.begin(tmp_path, *search, "hydra.sweeper.n_trials=200", "hydra.sweeper.study_name=cc")
    while not complete_trials(tmp_path / "optuna.db") > 2:
        assert first.poll() is None
        time.sleep(0.02)
    os.kill(first.pid, signal.SIGINT)
    wait(first, 100)
    told = (tmp_path / "err.txt").read_text(encoding="utf-8")
    assert "cachelab: interrupted: the sweep starts no further job: run the same command again to resume it" in told
    _, err = finished(tmp_path, *search, "hydra.sweeper.n_trials=2")
    assert "resumed" not in err
    parents = query(tmp_path / "mlflow.db", "select status from runs where name like '%(sweep)' order by start_time")
    assert parents == [("KILLED",), ("FINISHED",)]
    assert len(table(tmp_path)) == 2


def test_policies_are_compared_at_each_size(tmp_path: Path) -> None:
    times = ("order.start=poisson", "order.rate=0.05", "order.think_s=400")
    grid = ("engine.num_blocks=601,3001", "engine/policy=lru,ttl,ttl_1h")
    price = ("price=per_token", "price.fresh=3", "price.cached=0.3", "price.written={300: 3.75, 3600: 6}")
    chosen = ("--multirun", "experiment=retention", "artifacts=[requests]", "tracking=none", "hydra.sweep.dir=out")
    out, _ = finished(tmp_path, *chosen, *times, *grid, *price)
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section_of(tmp_path / "out/sweep/comparison.md", "Policies").splitlines()
        if line.startswith("| ") and line[2].isdigit()
    ]
    assert [row[:2] for row in rows] == [[size, name] for size in ("600", "3,000") for name in ("lru", "ttl", "ttl_1h")]
    lru, ttl, ttl_1h = rows[3:]
    assert ttl_1h[2] == lru[2]
    assert (lru[5], ttl_1h[5]) == ("0.00 %", "0.00 %")
    assert float(ttl[5].removesuffix(" %")) > 50  # all later turns come after 400 s
    assert lru[6] == "-"
    assert float(ttl[8]) > 0
    assert "3,000 usable blocks: lru has the highest hit rate" in " ".join(out.split())
    against = section_of(tmp_path / "out/sweep/comparison.md", "Policies compared with lru")
    assert re.search(r"\| 3,000 \| ttl \| -.* lower", against)
    assert (tmp_path / "out/sweep/figures/policies.png").stat().st_size > 10_000
    assert "Policies compared with lru" in (tmp_path / "out/sweep/report.html").read_text(encoding="utf-8")
    assert not (tmp_path / "out/retention.md").exists()
