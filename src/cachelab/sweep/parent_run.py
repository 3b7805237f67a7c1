"""The parent run of a sweep in an MLflow store: starts or resumes it, reads its jobs, ends it."""

import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from shlex import split

from mlflow.entities import Run

from cachelab.errors import TrackingError
from cachelab.interrupt import deferred
from cachelab.requirement import required
from cachelab.sweep.description import SweepDescription
from cachelab.sweep.sweep_job import SweepJob
from cachelab.tracking.job_record import INFEASIBLE
from cachelab.tracking.mlflow.entries import log_parameters
from cachelab.tracking.mlflow.errors import environment
from cachelab.tracking.mlflow.store import ERROR, PROCESS, REUSED, SWEEP_DIGEST, MlflowStore, machine_tags, tag_is
from cachelab.tracking.mlflow.zero_counts import with_zero_counts
from cachelab.tracking.process import Process

log = logging.getLogger(__name__)

_WAIT_S = 0.5
_MAX_TAG = 8000
NOTE = "mlflow.note.content"


def begin(
    store: MlflowStore, description: SweepDescription, *, resume: bool, resume_finished: bool, force_resume: bool
) -> tuple[str, str]:
    """The id of the sweep's run and a note for the user ("" for a new run).

    With `resume`, an unfinished sweep with the same digest is resumed; with `resume_finished`, a finished one too.
    Raises TrackingError if that sweep is still running. It also raises TrackingError if the sweep is marked as running
    on another machine, unless `force_resume` is set.
    """
    earlier = next(store.search(tag_is(SWEEP_DIGEST, description.digest)), None) if resume else None
    if earlier is not None and (earlier.info.status != "FINISHED" or resume_finished):
        note = _resume(store, earlier, force_resume=force_resume)
        return earlier.info.run_id, note
    tags = {
        **machine_tags(),
        **description.tags,
        PROCESS: str(Process.this()),
        SWEEP_DIGEST: description.digest,
        "cachelab.kind": "sweep",
        "cachelab.command": description.command[:_MAX_TAG],
        NOTE: "This sweep is running. The comparison appears here when it ends.",
    }
    run_id: str | None = None
    try:
        with deferred():  # a signal waits until run_id is set
            run_id = store.client.create_run(store.experiment_id, tags=tags, run_name=description.name).info.run_id
            store.client.log_text(run_id, description.config_yaml, "config.yaml")
            log_parameters(store.client, run_id, description.parameters)
    except KeyboardInterrupt:
        if run_id is not None:
            store.client.set_terminated(run_id, "KILLED")
        raise
    return run_id, ""


def _resume(store: MlflowStore, parent: Run, *, force_resume: bool) -> str:
    run_id, tags = parent.info.run_id, parent.data.tags
    process = Process.of(tags.get(PROCESS))
    if parent.info.status == "RUNNING" and process is not None and not force_resume:
        if process.alive:
            raise TrackingError(
                f"this sweep is already running (run {run_id}, process {process.pid}): "
                "wait for it, stop it, or change the sweep"
            )
        if process.alive is None:
            raise TrackingError(
                f"this sweep is marked as running on {process.host} (run {run_id}, process {process.pid}): "
                "if that process is dead, add sweep.force_resume=true"
            )
    children = store.children(run_id)
    killed = 0
    for child in children:
        if child.info.status == "RUNNING" and not _outlived(store, child):
            store.close_as_killed(child)
            killed += 1
    done = sum(child.info.status == "FINISHED" for child in store.children(run_id))
    ended = "was killed" if parent.info.status == "RUNNING" else f"ended as {parent.info.status}"
    said = f"resumed: it {ended}; {done} finished jobs are kept" + (f", {killed} closed as killed" if killed else "")
    count = int(tags.get("cachelab.resumed", 0)) + 1
    for key, value in {
        PROCESS: str(Process.this()),
        "cachelab.resumed": str(count),
        "cachelab.resumed_note": said,
        NOTE: f"This sweep is running, {said}.",
    }.items():
        store.client.set_tag(run_id, key, value)
    if ERROR in tags:  # why the sweep ended before
        store.client.delete_tag(run_id, ERROR)
    store.client.update_run(run_id, status="RUNNING")
    return f"sweep {run_id} is {said}"


def close_stale(store: MlflowStore, parent_run_id: str) -> None:
    """End the jobs whose worker process died."""
    for child in store.children(parent_run_id):
        process = Process.of(child.data.tags.get(PROCESS))
        if child.info.status == "RUNNING" and process is not None and process.alive is False:
            store.close_as_killed(child)


def _outlived(store: MlflowStore, child: Run) -> bool:
    """Whether a job of the earlier process still ran and has ended by itself; waits for its end."""
    process = Process.of(child.data.tags.get(PROCESS))
    if process is None or not process.alive:
        return False
    log.warning("waiting for job %s, which process %d still runs", child.info.run_name, process.pid)
    run_id = child.info.run_id
    while (running := store.client.get_run(run_id).info.status == "RUNNING") and process.alive is True:
        time.sleep(_WAIT_S)
    return not running or store.client.get_run(run_id).info.status != "RUNNING"


def jobs_of(store: MlflowStore, parent_run_id: str) -> list[SweepJob]:
    """Every job of the sweep that the store holds, sorted by number."""
    parent = store.client.get_run(parent_run_id)
    jobs = {job.number: job for run in store.children(parent_run_id) if (job := _job(run)) is not None}
    for tag, run_id in parent.data.tags.items():
        if tag.startswith(REUSED) and (number := int(tag.removeprefix(REUSED))) not in jobs:
            reused = _job(store.client.get_run(run_id), number)
            if reused is not None:
                jobs[number] = replace(reused, reused=True)
    return [jobs[number] for number in sorted(jobs)]


def _job(run: Run, number: int | None = None) -> SweepJob | None:
    """The job that a run holds; None if the run is not a job. `number` replaces the number that the run itself has."""
    tags = run.data.tags
    if number is None and "cachelab.job_number" not in tags:
        return None
    ended = run.info.end_time
    values = with_zero_counts(run.data.metrics, tags)
    return SweepJob(
        number=int(tags["cachelab.job_number"]) if number is None else number,
        overrides=tuple(split(tags.get("cachelab.command", ""))[3:]),  # python -m cachelab ...
        status=run.info.status,
        error=tags.get(ERROR) or tags.get(INFEASIBLE),
        run_id=run.info.run_id,
        values={key: value for key, value in values.items() if not key.startswith(("turn/", "minute/"))},
        seconds=None if ended is None else (ended - run.info.start_time) / 1000,
        require=required(run.data.params),
    )


def end(
    store: MlflowStore,
    parent_run_id: str,
    *,
    status: str,
    note: str,
    numbers: Mapping[str, float],
    tags: Mapping[str, str],
    folder: Path | None,
) -> None:
    """Log the sweep's files and numbers, then set its status."""
    client = store.client
    if folder is not None:
        client.log_artifacts(parent_run_id, str(folder))
    for name, number in numbers.items():
        client.log_metric(parent_run_id, name, number)
    for key, value in {**tags, NOTE: note[:_MAX_TAG]}.items():
        client.set_tag(parent_run_id, key, value)
    client.set_terminated(parent_run_id, status)


def fetch(store: MlflowStore, job: SweepJob, folder: Path) -> Path:
    """The path of the job's requests.parquet: the local file, or else the store's, downloaded into the folder.

    Raises TrackingError if neither has it.
    """
    name = "requests.parquet"
    if job.folder is not None and (job.folder / name).is_file():
        return job.folder / name
    if job.run_id is None:
        raise TrackingError(f"job {job.number} has no run in the store, and {job.folder} has no {name}")
    target = folder / f"job_{job.number}"
    target.mkdir(parents=True, exist_ok=True)
    with environment({"MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}):
        return Path(store.client.download_artifacts(job.run_id, name, str(target)))
