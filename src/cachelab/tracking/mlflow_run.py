"""One run in an MLflow store; imports MLflow, so it is itself imported only when a run starts."""

import json
import logging
import re
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag

from cachelab.dataset.base import LoadedDataset
from cachelab.errors import TrackingError
from cachelab.metrics.base import Numbers
from cachelab.tracking.description import RunDescription, without_passwords
from cachelab.tracking.mlflow_errors import cut, environment, reason, store_errors

log = logging.getLogger(__name__)
Item = TypeVar("Item")

# MLflow's limits: characters of a value, items of a batch
_MAX_PARAM, _MAX_TAG, _MAX_DIGEST = 6000, 8000, 36
_PARAMS_A_BATCH, _METRICS_A_BATCH = 100, 1000
# A server may restart: half a minute, not MLflow's four, until a job goes on without it.
_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "4"}
_NO_ADDRESSES = {"MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true"}  # the summary says where to look


class MlflowRun:
    """A run that was created in the store; see TrackedRun. Changes the store with every call."""

    def __init__(self, client: MlflowClient, uri: str, experiment_id: str, run_id: str, output_dir: Path) -> None:
        self._client = client
        self._uri = uri
        self._experiment_id = experiment_id
        self.run_id: str | None = run_id
        self._id = run_id
        self._output_dir = output_dir
        self._logged: dict[str, float] = {}

    @property
    def where_to_look(self) -> Mapping[str, str]:
        return where_to_look(self._uri, self._experiment_id, self._id)

    def log_config(self, description: RunDescription, tags: Mapping[str, str]) -> None:
        """Keep the config before anything else, then the parameters and tags (the user's own win)."""
        with self._stored("cannot log the config"):
            self._client.log_text(self._id, description.config_yaml, "config.yaml")
            self._log_parameters(description.parameters)
            self._set_tags({**description.tags, "cachelab.command": description.command, **tags})

    def log_dataset(self, dataset: LoadedDataset) -> None:
        """Log the dataset as an input of the run, its counts as the input's profile."""
        entity = Dataset(
            name=dataset.name,
            digest=dataset.digest[:_MAX_DIGEST],
            source_type="local" if "://" not in dataset.source else "http",
            source=json.dumps({"uri" if "://" not in dataset.source else "url": dataset.source}),
            profile=json.dumps(dict(dataset.counts)),
        )
        with self._stored("cannot log the dataset"):
            self._client.log_inputs(self._id, [DatasetInput(entity, [InputTag("mlflow.data.context", "workload")])])
            self._set_tags({"cachelab.dataset_digest": dataset.digest})

    def log_parameters(self, parameters: Mapping[str, str]) -> None:
        with self._stored("cannot log the parameters"):
            self._log_parameters(parameters)

    def log_tags(self, tags: Mapping[str, str]) -> None:
        with self._stored("cannot log the tags"):
            self._set_tags(tags)

    def log_workload(self, numbers: Mapping[str, float]) -> None:
        self._log(Numbers(numbers, {}))

    def log_result(self, numbers: Numbers, folder: Path) -> None:
        """Log what is new in the numbers, upload the folder, and show its summary.md on the run's page."""
        try:
            self._log(numbers)
            with self._stored("cannot upload the files"):
                self._client.log_artifacts(self._id, str(folder))
                summary = folder / "summary.md"
                if summary.is_file():
                    self._set_tags({"mlflow.note.content": _cut_lines(summary.read_text(encoding="utf-8"), _MAX_TAG)})
        except TrackingError as error:
            raise TrackingError(f"{error}; the results are in {folder}") from error

    def end(self, error: BaseException | None) -> None:
        """Upload the logs and end the run as the error says. Raises TrackingError, but never in place of the error."""
        status = "FINISHED" if error is None else "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED"
        try:
            with self._stored(f"cannot set the run {status}"), environment(_NO_ADDRESSES):
                try:
                    if error is not None:
                        self._set_tags({"cachelab.error": without_passwords(reason(error))})
                        text = without_passwords("".join(traceback.format_exception(error)))
                        self._client.log_text(self._id, text, "error.txt")
                    self._upload_logs()
                finally:
                    self._client.set_terminated(self._id, status)
        except TrackingError as lost:
            if error is None:
                raise
            log.warning("%s", lost)  # the error that ended the run is the one to show

    def end_as(self, status: str, reason: str | None, *, ended_ms: int) -> None:
        """Upload the logs and end a run that ended elsewhere, earlier. Raises TrackingError."""
        with self._stored(f"cannot set the run {status}"), environment(_NO_ADDRESSES):
            if reason is not None:
                self._set_tags({"cachelab.error": without_passwords(reason)})
            self._upload_logs()
            self._client.set_terminated(self._id, status, end_time=ended_ms)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end(error)

    def _log(self, numbers: Numbers) -> None:
        now_ms = int(time.time() * 1000)
        new = {key: value for key, value in numbers.values.items() if self._logged.get(key) != value}
        metrics = [Metric(_key(key), float(value), now_ms, 0) for key, value in new.items()]
        for key, steps in numbers.series.items():
            metrics += [Metric(_key(key), float(value), now_ms, step) for step, value in sorted(steps.items())]
        with self._stored("cannot log the metrics"):
            for batch in _batches(metrics, _METRICS_A_BATCH):
                self._client.log_batch(self._id, metrics=batch)
        self._logged |= new

    def _log_parameters(self, parameters: Mapping[str, str]) -> None:
        params = [Param(_key(key), cut(value, _MAX_PARAM)) for key, value in parameters.items()]
        for batch in _batches(params, _PARAMS_A_BATCH):
            self._client.log_batch(self._id, params=batch)

    def _set_tags(self, tags: Mapping[str, str]) -> None:
        tagged = [RunTag(_key(key), cut(value, _MAX_TAG)) for key, value in tags.items()]
        for batch in _batches(tagged, _PARAMS_A_BATCH):
            self._client.log_batch(self._id, tags=batch)

    def _upload_logs(self) -> None:
        for handler in logging.getLogger().handlers:
            handler.flush()
        for path in sorted(self._output_dir.glob("*.log")):
            self._client.log_artifact(self._id, str(path))

    @contextmanager
    def _stored(self, what: str) -> Iterator[None]:
        with store_errors(f"MLflow run {self._id}: {what}"), environment(_PATIENCE):
            yield


def where_to_look(uri: str, experiment_id: str, run_id: str) -> dict[str, str]:
    """See TrackedRun."""
    uri = without_passwords(uri)
    if uri.startswith("http"):
        return {"MLflow": f"{uri.rstrip('/')}/#/experiments/{experiment_id}/runs/{run_id}"}
    page = f"http://127.0.0.1:5000/#/experiments/{experiment_id}/runs/{run_id}"
    return {"MLflow": f"mlflow ui --backend-store-uri {uri}", "then": page, "run id": run_id}


def _key(name: str) -> str:
    return re.sub(r"[^/\w.\- :]", "_", name)[:250]


def _cut_lines(text: str, length: int) -> str:
    """As many whole lines as fit, so that no markdown table row is cut in two."""
    if len(text) <= length:
        return text
    end = "\n\n(The rest is in the artifact summary.md.)"
    return text[: length - len(end)].rpartition("\n")[0] + end


def _batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))
