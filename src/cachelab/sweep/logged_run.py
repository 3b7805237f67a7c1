"""A finished run, read from its folder or from an MLflow store."""

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cachelab.errors import TrackingError
from cachelab.tracking.job_record import FILE, JobRecord, records

REQUESTS = "requests.parquet"
_FACTS = {
    "cachelab.version": "cachelab version",
    "cachelab.vllm_version": "vLLM version",
    "mlflow.source.git.commit": "source commit",
    "cachelab.dataset_digest": "dataset SHA-256",
}
"""Tags that say on what a run's numbers depend next to its settings, and what they are called."""


@dataclass(frozen=True)
class LoggedRun:
    """A finished run; `requests` holds the columns of its requests.parquet that a comparison needs.

    `ids` are its run id and its folder, as far as they are known. `parameters` are the settings that the run used and
    the facts of _FACTS. They are not `exact`, but incomplete, if only the composed config is known.
    """

    name: str
    ids: frozenset[str]
    values: Mapping[str, float]
    parameters: Mapping[str, str]
    requests: Mapping[str, Sequence[Any]]
    exact: bool = True


def logged_run(reference: str | os.PathLike[str], tracking_uri: str | None = None) -> LoggedRun:
    """The run in a folder (a run's own, or its artifacts), or the run with this id in the MLflow store.

    Without an address the store is $MLFLOW_TRACKING_URI, or else mlflow.db in the working directory. Raises
    TrackingError if there is no such run, if it did not finish, or if it has no requests.parquet.
    """
    folder = Path(reference).expanduser()
    if folder.is_dir():
        return _in_folder(folder)
    if isinstance(reference, os.PathLike) or os.sep in reference:
        raise TrackingError(f"{reference}: there is no such folder: name a run's folder or a run id")
    return _in_store(reference, tracking_uri)


def _in_folder(folder: Path) -> LoggedRun:
    if (folder / FILE).is_file():
        return _recorded(JobRecord.read(folder / FILE), folder, folder / "artifacts")
    if not (folder / "metrics.json").is_file():
        if any(records(folder)):
            raise TrackingError(f"{folder}: holds several runs: name the folder of one of them")
        raise TrackingError(f"{folder}: holds no run ({FILE} or metrics.json): name a run's folder or a run id")
    if folder.resolve().name == "artifacts" and (record := folder.resolve().parent / FILE).is_file():
        return _recorded(JobRecord.read(record), folder.resolve().parent, folder)
    try:
        values = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["values"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrackingError(
            f"{folder / 'metrics.json'}: not the numbers of a run ({error}): name a run's folder"
        ) from error
    return LoggedRun(
        name=folder.resolve().name,
        ids=frozenset({str(folder.resolve())}),
        values=values,
        parameters=_settings(folder / "config.yaml"),
        requests=_requests(folder / REQUESTS, str(folder)),
        exact=False,
    )


def _recorded(record: JobRecord, folder: Path, artifacts: Path) -> LoggedRun:
    """The run that a result.json describes."""
    _refuse_unfinished(str(folder), record.status)
    tags = dict(record.tags)
    if record.dataset is not None:
        tags["cachelab.dataset_digest"] = str(record.dataset["digest"])
    return LoggedRun(
        name=record.run_name,
        ids=frozenset(filter(None, (record.run_id, str(artifacts.resolve())))),
        values=record.values,
        parameters={**record.parameters, **_facts(tags)},
        requests=_requests(artifacts / REQUESTS, str(folder)),
    )


def _in_store(run_id: str, tracking_uri: str | None) -> LoggedRun:
    from cachelab.sweep.stored_run import stored_run
    from cachelab.tracking.mlflow.errors import environment
    from cachelab.tracking.mlflow.zero_counts import with_zero_counts

    with stored_run(run_id, tracking_uri) as (client, run), tempfile.TemporaryDirectory() as scratch:
        if run.data.tags.get("cachelab.kind") == "sweep":
            raise TrackingError(f"{run_id}: is a sweep: name one of its jobs")
        _refuse_unfinished(run_id, run.info.status)
        if REQUESTS not in {file.path for file in client.list_artifacts(run_id)}:
            raise _without_requests(run_id)
        with environment({"MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}):
            path = Path(client.download_artifacts(run_id, REQUESTS, scratch))
        return LoggedRun(
            name=run.info.run_name or run_id,
            ids=frozenset({run_id}),
            values=with_zero_counts(run.data.metrics, run.data.tags),
            parameters={**run.data.params, **_facts(run.data.tags)},
            requests=_requests(path, run_id),
        )


def _refuse_unfinished(run: str, status: str) -> None:
    if status != "FINISHED":
        raise TrackingError(f"{run}: this run is {status}: only finished runs can be compared")


def _requests(path: Path, run: str) -> Mapping[str, Sequence[Any]]:
    import pyarrow

    from cachelab.sweep.local_jobs import read_requests

    if not path.is_file():
        raise _without_requests(run)
    try:
        return read_requests(path)
    except (pyarrow.ArrowException, OSError, KeyError) as error:
        raise TrackingError(f"{path}: not the requests of a run ({error}): run it again") from error


def _without_requests(run: str) -> TrackingError:
    return TrackingError(f"{run}: this run kept no {REQUESTS}: run it again with requests among artifacts=[...]")


def _settings(path: Path) -> dict[str, str]:
    """The settings of a config.yaml as text, without those that depend on the requests; {} if there is no file."""
    import yaml

    from cachelab.tracking.description import parameters_of
    from cachelab.used_settings import used_settings

    if not path.is_file():
        return {}
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        return parameters_of(used_settings(config))
    except (OSError, ValueError, AttributeError, yaml.YAMLError) as error:
        raise TrackingError(f"{path}: not the config of a run ({error}): remove it or name another folder") from error


def _facts(tags: Mapping[str, str]) -> dict[str, str]:
    return {name: tags[tag] for tag, name in _FACTS.items() if tag in tags}
