"""A store that takes requests and does not answer, and points that a killed or lost run had logged already."""

import os
import socket
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cachelab.errors import TrackingError
from cachelab.metrics.base import Numbers
from cachelab.sweep.description import SweepDescription
from cachelab.sweep.parent_run import begin, jobs_of
from cachelab.sweep.sync import sync_folder
from cachelab.tracking.description import RunDescription
from cachelab.tracking.job_record import records
from cachelab.tracking.mlflow import errors as mlflow_errors
from cachelab.tracking.mlflow.errors import StoreSilentError, TransientStoreError, asking
from cachelab.tracking.mlflow.store import PROCESS, MlflowStore
from cachelab.tracking.mlflow.tracking import MlflowTracking
from cachelab.tracking.offline import FallbackRun
from jobs import described

SWEEP = SweepDescription("sweep", "digest", "python -m cachelab --multirun", {}, "")
NUMBERS = Numbers({"hit_rate/first_prefill": 0.75}, {"turn/hit_rate": {0: 0.0, 1: 0.5}})


@pytest.fixture
def silent_port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A socket that accepts and never answers; requests give up after a second."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(mlflow_errors, "_silent_since", {})
    monkeypatch.setitem(mlflow_errors.CLIENT, "MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:
        yield server.getsockname()[1]


def test_silent_store_is_asked_once(silent_port: int, description: RunDescription) -> None:
    tracking = MlflowTracking(f"http://me:s3cret@127.0.0.1:{silent_port}", "e", None, {})
    started = time.monotonic()
    with pytest.raises(TrackingError, match=r"^tracking\.uri=http://me:\*\*\*@127.*: no answer within 1 s: start"):
        tracking.start(description)
    assert time.monotonic() - started < 3
    started = time.monotonic()
    with pytest.raises(TrackingError, match="did not answer 0 s ago"):
        tracking.start(description)
    assert time.monotonic() - started < 0.5


def test_silent_store_is_asked_again_after_a_rest(silent_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    tracking = MlflowTracking(f"http://127.0.0.1:{silent_port}", "e", None, {})
    for _ in range(2):
        with pytest.raises(TrackingError, match="no answer within 1 s"), tracking.open():
            pass
        monkeypatch.setattr(mlflow_errors, "_REST_S", 0.0)


def test_jobs_of_a_sweep_share_one_wait(silent_port: int, tmp_path: Path) -> None:
    tracking = MlflowTracking(f"http://127.0.0.1:{silent_port}", "e", None, {})
    started = time.monotonic()
    for number in range(20):
        with FallbackRun(tracking, described(tmp_path, "parent", number)) as kept:
            kept.log_workload({"a": 1.0})
        assert kept.untracked is not None
    assert time.monotonic() - started < 5
    assert len(list(records(tmp_path))) == 20


def test_the_bounds_sum_to_less_than_30_seconds() -> None:
    from cachelab.tracking.mlflow.run import _PATIENCE_S

    assert int(mlflow_errors.CLIENT["MLFLOW_HTTP_REQUEST_MAX_RETRIES"]) == 0
    assert _PATIENCE_S + float(mlflow_errors.CLIENT["MLFLOW_HTTP_REQUEST_TIMEOUT"]) < 30


def test_users_own_timeout_wins(silent_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    with (
        pytest.raises(TrackingError, match="no answer within 2 s"),
        MlflowTracking(f"http://127.0.0.1:{silent_port}", "e", None, {}).open(),
    ):
        pass
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "2"


def test_away_and_silent_are_told_apart() -> None:
    with (
        pytest.raises(TransientStoreError, match="x: the store: Connection refused"),
        asking("http://a", "x: the store"),
    ):
        raise ConnectionRefusedError(111, "Connection refused")
    with pytest.raises(StoreSilentError), asking("http://b", "x"):
        raise TimeoutError("timed out")
    with pytest.raises(TrackingError) as caught, asking("http://c", "x"):
        raise ValueError("garbage")
    assert type(caught.value) is TrackingError


def logged(store: MlflowStore, run_id: str) -> dict[str, list[tuple[int, float]]]:
    keys = store.client.get_run(run_id).data.metrics
    return {
        key: sorted((point.step, point.value) for point in store.client.get_metric_history(run_id, key)) for key in keys
    }


ONCE = {"hit_rate/first_prefill": [(0, 0.75)], "turn/hit_rate": [(0, 0.0), (1, 0.5)]}


def test_resumed_job_logs_each_point_once(own_tracking: MlflowTracking, own_store: MlflowStore, tmp_path: Path) -> None:
    parent, _ = begin(own_store, SWEEP, resume=True, resume_finished=False, force_resume=False)
    killed = own_tracking.start(described(tmp_path, parent, 0))
    assert killed.run_id is not None
    # What a process that is killed between two batches leaves behind.
    killed.log_result(Numbers({"hit_rate/first_prefill": 0.75}, {"turn/hit_rate": {0: 0.0}}), tmp_path / "0")
    own_store.client.set_tag(killed.run_id, PROCESS, "elsewhere 1 1.0")

    with own_tracking.start(described(tmp_path, parent, 0)) as resumed:
        resumed.log_workload({"hit_rate/first_prefill": 0.75})
        resumed.log_result(NUMBERS, tmp_path / "0")

    assert resumed.run_id == killed.run_id
    assert logged(own_store, killed.run_id) == ONCE


def test_resumed_job_with_another_number_ends_with_the_new_one(
    own_tracking: MlflowTracking, own_store: MlflowStore, tmp_path: Path
) -> None:
    parent, _ = begin(own_store, SWEEP, resume=True, resume_finished=False, force_resume=False)
    killed = own_tracking.start(described(tmp_path, parent, 0))
    killed.log_result(Numbers({"latency/e2e_mean_s": 9.0}, {}), tmp_path / "0")
    with own_tracking.start(described(tmp_path, parent, 0)) as resumed:
        resumed.log_result(Numbers({"latency/e2e_mean_s": 2.0}, {}), tmp_path / "0")
    (job,) = jobs_of(own_store, parent)
    assert job.values == {"latency/e2e_mean_s": 2.0}


def test_sync_logs_each_point_once(own_tracking: MlflowTracking, own_store: MlflowStore, tmp_path: Path) -> None:
    alone = replace(described(tmp_path, None), sweep=None)
    (alone.output_dir / "artifacts").mkdir()
    with FallbackRun(own_tracking, alone) as kept:
        kept.log_workload({"hit_rate/first_prefill": 0.75})
        kept.log_result(NUMBERS, alone.output_dir / "artifacts")
        kept.untracked = "the store went away when all was logged but the end"
    assert kept.run_id is not None
    list(sync_folder(own_tracking, tmp_path))
    assert logged(own_store, kept.run_id) == ONCE
    assert own_store.client.get_run(kept.run_id).info.status == "FINISHED"


@pytest.mark.parametrize(
    "uri",
    [
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite+pysqlite://",
        "sqlite+pysqlite:///:memory:",
        "sqlite:///file::memory:?cache=shared&uri=true",
        "sqlite:///file:a?mode=memory&uri=true",
    ],
)
def test_database_in_memory_is_refused(uri: str, description: RunDescription) -> None:
    with pytest.raises(TrackingError) as caught:
        MlflowTracking(uri, "e", None, {}).start(description)
    assert str(caught.value).startswith(f"tracking.uri={uri}: this database is in memory and is lost with the process")
    assert "\n" not in str(caught.value)


def test_memory_alone_is_no_address(description: RunDescription) -> None:
    with pytest.raises(TrackingError, match=r"^tracking\.uri=:memory:: "):
        MlflowTracking(":memory:", "e", None, {}).start(description)


def test_database_of_another_program_is_refused_and_left_alone(tmp_path: Path, description: RunDescription) -> None:
    path = tmp_path / "optuna.db"
    with sqlite3.connect(path) as database:
        database.executescript("create table studies (x); create table trials (x); create table alembic_version (x)")
    before = path.read_bytes()
    with pytest.raises(TrackingError, match=r"is not MLflow's \(its tables: alembic_version, studies, trials\)"):
        MlflowTracking(f"sqlite:///{path}", "e", None, {}).start(description)
    assert path.read_bytes() == before


def test_database_of_a_later_mlflow_is_refused(
    empty_database: Path, tmp_path: Path, description: RunDescription
) -> None:
    path = tmp_path / "later.db"
    path.write_bytes(empty_database.read_bytes())
    with sqlite3.connect(path) as database:
        database.execute("update alembic_version set version_num = 'f00f00f00f00'")
    with pytest.raises(TrackingError, match="found version f00f00f00f00") as caught:
        MlflowTracking(f"sqlite:///{path}", "e", None, {}).start(description)
    assert "\n" not in str(caught.value)


def test_address_whose_password_is_gone_says_what_to_do(description: RunDescription) -> None:
    with pytest.raises(TrackingError, match=r"^tracking\.uri=http://me:\*\*\*@h: .* set MLFLOW_TRACKING_URI"):
        MlflowTracking("http://me:***@h", "e", None, {}).start(description)
