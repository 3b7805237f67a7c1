"""A job whose store goes away: it goes on, leaves everything in its folder, and is logged from there later."""

import errno
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import QuotedString

from cachelab.dataset.base import LoadedDataset
from cachelab.errors import EngineError, StorageError, TrackingError
from cachelab.interrupt import SIGNALS, Interrupted, raise_on_signals
from cachelab.metrics.base import Numbers
from cachelab.sweep.description import SweepDescription
from cachelab.sweep.local_jobs import local_jobs
from cachelab.sweep.parent_run import begin, jobs_of
from cachelab.sweep.sync import sync_folder
from cachelab.tracking.base import FinishedRun
from cachelab.tracking.description import RunDescription
from cachelab.tracking.job_record import FILE, JobRecord, records
from cachelab.tracking.mlflow.run import MlflowRun
from cachelab.tracking.mlflow.store import PROCESS, MlflowStore
from cachelab.tracking.mlflow.tracking import MlflowTracking
from cachelab.tracking.none import NoTracking
from cachelab.tracking.offline import FallbackRun, sync_command
from cachelab.tracking.process import Process
from jobs import described


@pytest.fixture
def tracking(own_tracking: MlflowTracking) -> MlflowTracking:
    return own_tracking


@pytest.fixture
def store(own_store: MlflowStore) -> MlflowStore:
    return own_store


DATASET = LoadedDataset("chats", "chats.json", "f" * 64, (), {"conversations": 3})
NUMBERS = Numbers(
    {"hit_rate/first_prefill": 0.75, "filter/conversations_kept": 3.0}, {"turn/hit_rate": {0: 0.0, 1: 0.5}}
)


class Leaving:
    """A store that answers `calls` calls, the start being the first, and then none."""

    def __init__(self, calls: int) -> None:
        self.calls = calls
        self.asked = 0
        self.run_id: str | None = "run"
        self.where_to_look: Mapping[str, str] = {}

    def _answer(self, *_: Any) -> None:
        self.asked += 1
        if self.asked > self.calls:
            raise TrackingError("the store is away")

    log_dataset = log_workload = log_parameters = log_tags = log_result = _answer

    def start(self, description: RunDescription) -> Self:
        self._answer()
        return self

    def end_dead_runs(self) -> None:
        """Asked before the start, and not counted."""

    def find_finished(self, description: RunDescription, *, anywhere: bool) -> FinishedRun | None:
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._answer()


def run(tracking: Any, description: RunDescription) -> FallbackRun:
    artifacts = description.output_dir / "artifacts"
    artifacts.mkdir(parents=True)
    (artifacts / "summary.md").write_text("# done")
    (description.output_dir / "cachelab.log").write_text("all the job said")
    with FallbackRun(tracking, description) as kept:
        kept.log_dataset(DATASET)
        kept.log_workload({"filter/conversations_kept": 3.0})
        kept.log_result(NUMBERS, artifacts)
    return kept


@pytest.mark.parametrize("calls", range(5))
def test_kept_run_outlives_its_store(tmp_path: Path, calls: int) -> None:
    store = Leaving(calls)
    kept = run(store, described(tmp_path, "parent"))
    assert kept.untracked == "the store is away"
    assert store.asked <= calls + 2  # once lost, it is only asked to end the run
    ((folder, record),) = records(tmp_path)
    assert (record.status, record.untracked, record.parent_run_id) == ("FINISHED", "the store is away", "parent")
    assert record.values == NUMBERS.values
    assert record.series == NUMBERS.series
    assert kept.where_to_look == {"to track it": f"python -m cachelab sync={folder}"}


def test_kept_run_alone_does_not_start_without_its_store(tmp_path: Path) -> None:
    alone = replace(described(tmp_path, None), sweep=None)
    with pytest.raises(TrackingError, match="away"):
        run(Leaving(0), alone)


def test_kept_run_records_why_a_job_failed(tmp_path: Path) -> None:
    with pytest.raises(EngineError), FallbackRun(NoTracking(), described(tmp_path, None)):
        raise EngineError("engine: out of blocks")
    (job,) = local_jobs(tmp_path, 0)
    assert (job.status, job.error, job.untracked) == ("FAILED", "engine: out of blocks", None)
    assert job.settings["order"] == "by_turn"


def test_jobs_that_another_sweep_left_in_the_folder_are_not_this_sweeps(tmp_path: Path) -> None:
    run(NoTracking(), described(tmp_path, "earlier"))
    assert len(local_jobs(tmp_path, 0, "earlier")) == 1
    assert local_jobs(tmp_path, 0, "later") == []
    assert local_jobs(tmp_path, 1 << 62) == []


def test_without_a_store_the_jobs_of_a_sweep_are_those_that_started_with_it(tmp_path: Path) -> None:
    run(NoTracking(), described(tmp_path, None))
    ((_, record),) = records(tmp_path)
    assert len(local_jobs(tmp_path, record.started_ms)) == 1
    assert local_jobs(tmp_path, record.started_ms + 1) == []


def test_sync_logs_what_the_store_missed(tracking: MlflowTracking, store: MlflowStore, tmp_path: Path) -> None:
    sweep = SweepDescription("sweep", "digest", "python -m cachelab --multirun", {}, "")
    parent, _ = begin(store, sweep, resume=True, resume_finished=False, force_resume=False)
    run(Leaving(0), described(tmp_path, parent, 0))
    begun = tracking.start(described(tmp_path, parent, 1)).run_id
    assert begun is not None
    lost = Leaving(1)
    lost.run_id = begun
    run(lost, described(tmp_path, parent, 1))
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "comparison.md").write_text("# higher")
    ending = {"parent_run_id": parent, "status": "FINISHED", "note": "higher", "numbers": {}, "tags": {}}
    (tmp_path / "sweep" / "end.json").write_text(json.dumps(ending))

    lines = list(sync_folder(tracking, tmp_path))

    assert len(lines) == 3
    first, second = jobs_of(store, parent)
    assert second.run_id == begun
    for job in (first, second):
        assert job.run_id is not None
        found = store.client.get_run(job.run_id)
        assert found.info.status == "FINISHED"
        assert found.data.metrics["hit_rate/first_prefill"] == 0.75
        assert found.data.tags["cachelab.dataset_digest"] == DATASET.digest
        assert found.data.params == {"a": "1"}
        assert {item.path for item in store.client.list_artifacts(job.run_id)} >= {"summary.md", "cachelab.log"}
        assert len(store.client.get_metric_history(job.run_id, "turn/hit_rate")) == 2
    assert store.client.get_run(parent).info.status == "FINISHED"
    assert list(sync_folder(tracking, tmp_path)) == [f"all 2 jobs in {tmp_path} are tracked already"]


def test_sync_of_a_folder_without_jobs_says_so(tracking: MlflowTracking, tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match=r"sync=.*result\.json"):
        list(sync_folder(tracking, tmp_path))


@pytest.mark.parametrize("name", ["plain-1.2", "a b", "{x}", "it's", "a=b,c", "back\\slash", "größe"])
def test_sync_command_is_read_back_by_shell_and_hydra(name: str) -> None:
    overrides = ["order=by_turn", "tracking.uri='http://me:***@h'", "tracking.experiment=e"]
    *_, given, uri, experiment = shlex.split(sync_command(Path("/tmp") / name, overrides))
    value = OverridesParser.create().parse_override(given).value()
    assert (value.text if isinstance(value, QuotedString) else value) == f"/tmp/{name}"
    assert [uri, experiment] == overrides[1:]


def test_read_of_a_broken_record_names_the_file(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"run_name": ')
    with pytest.raises(TrackingError, match=FILE):
        JobRecord.read(tmp_path / FILE)


def signal_inside(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """Let a SIGTERM come while the tracked run is in this method."""
    from cachelab import interrupt

    monkeypatch.setattr(interrupt, "_received", interrupt._Received())
    original = getattr(MlflowRun, method)

    def interrupted(self: MlflowRun, *arguments: Any, **named: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return original(self, *arguments, **named)

    monkeypatch.setattr(MlflowRun, method, interrupted)


@pytest.fixture
def _signals(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (*SIGNALS, signal.SIGALRM)}
    hook = sys.unraisablehook
    raise_on_signals()
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    sys.unraisablehook = hook
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_signals")
@pytest.mark.parametrize(
    ("method", "status"), [("log_config", "KILLED"), ("log_parameters", "KILLED"), ("_upload_logs", "FINISHED")]
)
def test_kept_signal_in_the_middle_of_tracking_leaves_a_run_that_ended(
    tracking: MlflowTracking,
    store: MlflowStore,
    description: RunDescription,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    status: str,
) -> None:
    signal_inside(monkeypatch, method)
    with pytest.raises(Interrupted), FallbackRun(tracking, description) as run:
        run.log_parameters({"a": "1"})
    assert [found.info.status for found in store.search()] == [status]
    assert JobRecord.read(description.output_dir / FILE).status == status


def test_kept_run_whose_record_finds_no_room_is_failed(
    tracking: MlflowTracking, store: MlflowStore, description: RunDescription, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(JobRecord, "write", no_space)
    with pytest.raises(StorageError, match=str(description.output_dir)), FallbackRun(tracking, description):
        pass
    (run,) = store.search()
    assert run.info.status == "FAILED"
    assert "No space left" in run.data.tags["cachelab.error"]


def test_kept_run_whose_upload_finds_no_room_is_failed_and_can_be_synced(
    tracking: MlflowTracking, store: MlflowStore, description: RunDescription, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifacts = description.output_dir / "artifacts"
    artifacts.mkdir()
    (artifacts / "requests.parquet").write_bytes(b"x" * 5000)

    def half(self: Any, run_id: str, folder: str) -> None:
        copies = Path(self.get_run(run_id).info.artifact_uri.removeprefix("file://"))
        (copies / "requests.parquet").write_bytes(b"x" * 100)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as full:
        full.setattr("mlflow.MlflowClient.log_artifacts", half)
        with FallbackRun(tracking, description) as run:
            run.log_result(NUMBERS, artifacts)
    assert "4.9 KiB are needed" in (run.untracked or "")
    (found,) = store.search()
    assert found.info.status == "FAILED"
    assert [item.path for item in store.client.list_artifacts(found.info.run_id)] == ["config.yaml"]
    list(sync_folder(tracking, description.output_dir))
    assert store.client.get_run(found.info.run_id).info.status == "FINISHED"


def test_start_ends_the_runs_of_dead_processes(
    tracking: MlflowTracking, store: MlflowStore, description: RunDescription
) -> None:
    dead, alive, elsewhere = (tracking.start(description).run_id or "" for _ in range(3))
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    store.client.set_tag(dead, PROCESS, str(replace(Process.this(), pid=gone.pid)))
    store.client.set_tag(elsewhere, PROCESS, str(replace(Process.this(), host="elsewhere", pid=gone.pid)))
    with FallbackRun(replace(tracking, experiment="another"), description):
        pass
    found = {run_id: store.client.get_run(run_id) for run_id in (dead, alive, elsewhere)}
    assert [run.info.status for run in found.values()] == ["FAILED", "RUNNING", "RUNNING"]
    assert found[dead].data.tags["cachelab.error"].startswith("process died (")


def test_record_holds_the_parameters_and_tags_that_came_later(tmp_path: Path) -> None:
    with FallbackRun(Leaving(1), described(tmp_path, "parent")) as kept:
        kept.log_parameters({"a": "1", "engine.block_size": "512"})
        kept.log_tags({"cachelab.infeasible": "filter: keeps none"})
    ((_, record),) = records(tmp_path)
    assert record.parameters == {"a": "1", "engine.block_size": "512"}
    assert record.tags == {"cachelab.version": "0", "cachelab.infeasible": "filter: keeps none"}
    (job,) = local_jobs(tmp_path, 0, "parent")
    assert job.error == "filter: keeps none"
