"""Logs jobs that could not reach their store while they ran, from the records in their folders."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cachelab.build import build_part, build_root
from cachelab.dataset.base import LoadedDataset
from cachelab.errors import ConfigError, TrackingError
from cachelab.metrics.base import Numbers
from cachelab.tracking.description import RunDescription, SweepMember
from cachelab.tracking.job_record import JobRecord, records
from cachelab.tracking.process import Process

if TYPE_CHECKING:
    from cachelab.tracking.mlflow.tracking import MlflowTracking


def sync(config: dict[str, Any]) -> None:
    """Log what the jobs of the folder `sync` could not log while they ran. Raises CachelabError."""
    from cachelab.tracking.mlflow.tracking import MlflowTracking

    root = build_root(config)
    tracking = build_part("tracking", root.tracking, root.plugins)
    if not isinstance(tracking, MlflowTracking):
        raise ConfigError("sync: tracking=none holds no runs: leave it out, or name a store with tracking.uri=...")
    for line in sync_folder(tracking, Path(str(root.sync))):
        print(line)


def sync_folder(tracking: "MlflowTracking", folder: Path) -> Iterator[str]:
    """Log every untracked job at or below the folder, then end their sweeps. Yields one line for each.

    Raises TrackingError if the folder holds no job, or if the store does not answer. Jobs that were logged before the
    error stay logged.
    """
    found = list(records(folder))
    if not found:
        raise TrackingError(f"sync={folder}: it holds no job's result.json: name the folder of a job or of a sweep")
    waiting = [(job_folder, record) for job_folder, record in found if record.untracked is not None]
    for job_folder, record in waiting:
        run_id = _log(tracking, job_folder, record)
        replace(record, run_id=run_id, untracked=None).write(job_folder)
        yield f"{record.run_name}: logged as run {run_id}"
    parents = {record.parent_run_id for _, record in found if record.parent_run_id is not None}
    for parent in sorted(parents):
        if _end_sweep(tracking, parent, folder):
            yield f"sweep {parent}: ended"
    if not waiting:
        yield f"all {len(found)} jobs in {folder} are tracked already"


def _log(tracking: "MlflowTracking", folder: Path, record: JobRecord) -> str:
    description = RunDescription(
        run_name=record.run_name,
        config={},
        config_yaml=record.config_yaml,
        parameters=record.parameters,
        tags={**record.tags, "cachelab.synced": "true"},
        command=record.command,
        output_dir=folder,
        overrides=record.overrides,
        sweep=None if record.number is None else SweepMember(record.parent_run_id, record.number),
        job_digest=record.job_digest,
    )
    with tracking.open() as store:
        from cachelab.tracking.mlflow.run import MlflowRun
        from cachelab.tracking.mlflow.store import PROCESS

        run_id, begun = record.run_id, True
        if run_id is None:
            made, begun = store.start(tracking.run_name or record.run_name, description)
            run_id = made.info.run_id
        else:  # it is not one that a dead process has left
            store.client.set_tag(run_id, PROCESS, str(Process.this()))
    run = MlflowRun(store.client, store.uri, store.experiment_id, run_id, folder, begun=begun)
    run.log_config(description, {key: str(value) for key, value in tracking.tags.items()})
    if record.dataset is not None:
        known = record.dataset
        run.log_dataset(LoadedDataset(known["name"], known["source"], known["digest"], (), known["counts"]))
    run.log_workload(record.values)
    if (folder / "artifacts").is_dir():
        run.log_result(Numbers(record.values, record.series), folder / "artifacts")
    run.end_as(record.status, record.error, ended_ms=record.ended_ms)
    return run_id


def _end_sweep(tracking: "MlflowTracking", parent: str, folder: Path) -> bool:
    """Log the report of a sweep that the store does not hold yet, and end the sweep; False if there is none."""
    found = [*folder.rglob("sweep/end.json"), *folder.resolve().parent.glob("sweep/end.json")]
    endings = {path.parent: json.loads(path.read_text(encoding="utf-8")) for path in found}
    waiting = next((path for path, ending in endings.items() if ending.get("parent_run_id") == parent), None)
    if waiting is None:
        return False
    with tracking.open() as store:
        from cachelab.sweep.parent_run import end

        if store.client.get_run(parent).info.status != "RUNNING":
            return False
        end(store, folder=waiting, **endings[waiting])
    return True
