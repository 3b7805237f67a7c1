"""A sweep's run in a real MLflow store: begun, killed, resumed, read."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from cachelab.errors import TrackingError
from cachelab.metrics.base import Numbers
from cachelab.sweep.description import SweepDescription
from cachelab.sweep.parent_run import begin, close_stale, end, jobs_of
from cachelab.tracking.mlflow.store import ATTEMPTS, ERROR, PARENT, PROCESS, MlflowStore
from cachelab.tracking.mlflow.tracking import MlflowTracking
from cachelab.tracking.process import Process
from jobs import described


@pytest.fixture
def tracking(own_tracking: MlflowTracking) -> MlflowTracking:
    return own_tracking


@pytest.fixture
def store(own_store: MlflowStore) -> MlflowStore:
    return own_store


SWEEP = SweepDescription("sweep a=1,2", "sweep-digest", "python -m cachelab --multirun a=1,2", {}, "a: 1\n")


def dead_process() -> Process:
    """A process that has been, on this machine."""
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return replace(Process.this(), pid=done.pid)


def open_sweep(
    store: MlflowStore, *, resume: bool = True, resume_finished: bool = False, force_resume: bool = False
) -> str:
    return begin(store, SWEEP, resume=resume, resume_finished=resume_finished, force_resume=force_resume)[0]


def kill(store: MlflowStore, *run_ids: str) -> None:
    """Leave runs as SIGKILL does: running, their process gone."""
    gone = str(dead_process())
    for run_id in run_ids:
        store.client.set_tag(run_id, PROCESS, gone)


def finish(tracking: MlflowTracking, folder: Path, parent: str, number: int, digest: str = "d0") -> str:
    with tracking.start(described(folder, parent, number, digest)) as run:
        run.log_result(Numbers({"hit_rate/first_prefill": 0.5 + number / 10}, {}), folder / str(number))
    assert run.run_id is not None
    return run.run_id


def test_begin_new_sweep_is_a_running_parent(store: MlflowStore) -> None:
    run = store.client.get_run(open_sweep(store))
    assert (run.info.status, run.info.run_name) == ("RUNNING", "sweep a=1,2")
    assert "is running" in run.data.tags["mlflow.note.content"]


def test_begin_logs_the_settings_of_the_sweep(store: MlflowStore) -> None:
    swept = {"engine.num_blocks": "257,512", "order": "by_turn"}
    run_id, _ = begin(
        store,
        replace(SWEEP, digest="with settings", parameters=swept),
        resume=True,
        resume_finished=False,
        force_resume=False,
    )
    assert store.client.get_run(run_id).data.params == swept


def test_jobs_have_their_counts_of_0(tracking: MlflowTracking, store: MlflowStore, tmp_path: Path) -> None:
    parent = open_sweep(store)
    with tracking.start(described(tmp_path, parent, 0)) as run:
        run.log_result(Numbers({"requests/rejected": 0.0, "blocks/hit": 2.0}, {}), tmp_path / "0")
    (job,) = jobs_of(store, parent)
    assert job.values == {"requests/rejected": 0.0, "blocks/hit": 2.0}


def test_begin_resumes_a_killed_sweep_and_closes_its_stale_jobs(
    tracking: MlflowTracking, store: MlflowStore, tmp_path: Path
) -> None:
    parent = open_sweep(store)
    finish(tracking, tmp_path, parent, 0)
    stale = tracking.start(described(tmp_path, parent, 1, "d1")).run_id
    assert stale is not None
    kill(store, parent, stale)
    run_id, said = begin(store, SWEEP, resume=True, resume_finished=False, force_resume=False)
    assert run_id == parent
    assert "it was killed; 1 finished jobs are kept, 1 closed as killed" in said
    assert store.client.get_run(parent).data.tags["cachelab.resumed"] == "1"
    closed = store.client.get_run(stale)
    assert closed.info.status == "KILLED"
    assert "was killed" in closed.data.tags[ERROR]


def test_a_resumed_sweep_has_no_reason_of_its_earlier_end(store: MlflowStore) -> None:
    parent = open_sweep(store)
    end(store, parent, status="KILLED", note="", numbers={}, tags={ERROR: "Interrupted: SIGINT"}, folder=None)
    assert store.client.get_run(parent).data.tags[ERROR] == "Interrupted: SIGINT"
    assert open_sweep(store) == parent
    end(store, parent, status="FINISHED", note="", numbers={}, tags={}, folder=None)
    assert ERROR not in store.client.get_run(parent).data.tags


def test_start_resumes_the_killed_job_itself(tracking: MlflowTracking, store: MlflowStore, tmp_path: Path) -> None:
    parent = open_sweep(store)
    stale = tracking.start(described(tmp_path, parent, 1)).run_id
    assert stale is not None
    kill(store, parent, stale)
    open_sweep(store)
    assert finish(tracking, tmp_path, parent, 1) == stale
    run = store.client.get_run(stale)
    assert (run.info.status, run.data.tags[ATTEMPTS]) == ("FINISHED", "2")
    assert ERROR not in run.data.tags
    assert [job.status for job in jobs_of(store, parent)] == ["FINISHED"]


def test_start_lets_a_job_of_another_digest_go(tracking: MlflowTracking, store: MlflowStore, tmp_path: Path) -> None:
    parent = open_sweep(store)
    old = finish(tracking, tmp_path, parent, 0, "d0")
    new = finish(tracking, tmp_path, parent, 0, "d1")
    assert new != old
    assert PARENT not in store.client.get_run(old).data.tags
    assert [job.run_id for job in jobs_of(store, parent)] == [new]


def test_begin_refuses_a_sweep_whose_process_lives(store: MlflowStore) -> None:
    open_sweep(store)
    with pytest.raises(TrackingError, match=rf"already running.*{os.getpid()}"):
        open_sweep(store)


def test_begin_refuses_another_machines_sweep_unless_told(store: MlflowStore) -> None:
    parent = open_sweep(store)
    store.client.set_tag(parent, PROCESS, str(replace(Process.this(), host="elsewhere")))
    with pytest.raises(TrackingError, match=r"elsewhere.*sweep\.force_resume=true"):
        open_sweep(store)
    assert open_sweep(store, force_resume=True) == parent


def test_begin_after_a_finished_sweep_is_another_unless_its_study_goes_on(store: MlflowStore) -> None:
    first = open_sweep(store)
    end(store, first, status="FINISHED", note="", numbers={}, tags={}, folder=None)
    assert open_sweep(store, resume_finished=True) == first
    end(store, first, status="FINISHED", note="", numbers={}, tags={}, folder=None)
    assert open_sweep(store) != first


def test_begin_failed_sweep_is_resumed_unless_all_is_to_run_again(store: MlflowStore) -> None:
    first = open_sweep(store)
    end(store, first, status="FAILED", note="", numbers={}, tags={}, folder=None)
    assert open_sweep(store, resume=False) != first


def test_finished_knows_the_job_in_its_sweep(tracking: MlflowTracking, store: MlflowStore, tmp_path: Path) -> None:
    parent = open_sweep(store)
    run_id = finish(tracking, tmp_path, parent, 0)
    found = tracking.find_finished(described(tmp_path, parent, 0), anywhere=False)
    assert found is not None
    assert (found.run_id, found.values["hit_rate/first_prefill"]) == (run_id, 0.5)
    assert tracking.find_finished(described(tmp_path, parent, 0, "other data"), anywhere=False) is None
    assert tracking.find_finished(described(tmp_path, parent, 1), anywhere=False) is None


def test_finished_anywhere_is_noted_on_the_sweep(tracking: MlflowTracking, store: MlflowStore, tmp_path: Path) -> None:
    first = open_sweep(store)
    run_id = finish(tracking, tmp_path, first, 3)
    second = begin(store, replace(SWEEP, digest="another"), resume=True, resume_finished=False, force_resume=False)[0]
    found = tracking.find_finished(described(tmp_path, second, 7), anywhere=True)
    assert found is not None
    (job,) = jobs_of(store, second)
    assert (job.number, job.run_id, job.reused) == (7, run_id, True)
    assert [job.reused for job in jobs_of(store, first)] == [False]


def test_jobs_of_tells_settings_numbers_and_reasons(
    tracking: MlflowTracking, store: MlflowStore, tmp_path: Path
) -> None:
    parent = open_sweep(store)
    finish(tracking, tmp_path, parent, 1)
    with pytest.raises(ZeroDivisionError), tracking.start(described(tmp_path, parent, 0)):
        _ = 1 / 0
    failed, finished = jobs_of(store, parent)
    assert (failed.status, failed.number) == ("FAILED", 0)
    assert "division by zero" in (failed.error or "")
    assert finished.settings == {"order": "by_turn", "engine.num_blocks": "1"}
    assert finished.values == {"hit_rate/first_prefill": 0.6}


def test_close_stale_ends_jobs_of_dead_workers_only(
    tracking: MlflowTracking, store: MlflowStore, tmp_path: Path
) -> None:
    parent = open_sweep(store)
    dead, alive = (tracking.start(described(tmp_path, parent, number)).run_id for number in (0, 1))
    assert dead is not None
    kill(store, dead)
    close_stale(store, parent)
    assert [job.status for job in jobs_of(store, parent)] == ["KILLED", "RUNNING"]
    assert alive is not None


def test_end_gives_the_parent_its_files_and_numbers(store: MlflowStore, tmp_path: Path) -> None:
    parent = open_sweep(store)
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "comparison.md").write_text("# higher")
    numbers = {"sweep/jobs": 2.0}
    end(store, parent, status="FINISHED", note="**higher**", numbers=numbers, tags={}, folder=tmp_path / "sweep")
    run = store.client.get_run(parent)
    assert (run.info.status, run.data.metrics, run.data.tags["mlflow.note.content"]) == (
        "FINISHED",
        numbers,
        "**higher**",
    )
    assert {item.path for item in store.client.list_artifacts(parent)} >= {"comparison.md", "config.yaml"}
