"""One run in an MLflow store; imports MLflow, so it is imported only when a run starts."""

import json
import logging
import re
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag

from cachelab.dataset.base import LoadedDataset
from cachelab.disk import no_room, size, written_bytes
from cachelab.error_format import cut
from cachelab.errors import TrackingError
from cachelab.interrupt import transaction
from cachelab.metrics.base import Numbers
from cachelab.secret import without_secrets
from cachelab.tracking.description import RunDescription
from cachelab.tracking.mlflow.address import where_to_look
from cachelab.tracking.mlflow.errors import TransientStoreError, asking
from cachelab.tracking.mlflow.errors import reason as reason_of
from cachelab.tracking.mlflow.zero_counts import ZERO_COUNTS, zero_counts

log = logging.getLogger(__name__)
Item = TypeVar("Item")

# MLflow's limits: characters of a value, items of a batch
_MAX_PARAM, _MAX_TAG, _MAX_DIGEST = 6000, 8000, 36
_PARAMS_A_BATCH, _METRICS_A_BATCH = 100, 1000
# A server may restart: a run retries for this long. Together with one unanswered request (12 s) it is below 30 s.
_PATIENCE_S = 16.0
_PAUSE_S = 2.0


class MlflowRun:
    """A run that exists in the store; see TrackedRun."""

    def __init__(
        self, client: MlflowClient, uri: str, experiment_id: str, run_id: str, output_dir: Path, *, begun: bool
    ) -> None:
        """`begun`: an earlier process may have logged numbers to the same run."""
        self._client = client
        self._uri = uri
        self._experiment_id = experiment_id
        self.run_id: str | None = run_id
        self._id = run_id
        self._output_dir = output_dir
        self._begun = begun
        self._logged: dict[str, float] = {}
        self._points: dict[str, set[tuple[int, float]]] = {}
        self._workload: Mapping[str, float] = {}  # not logged yet
        self._now_ms = int(time.time() * 1000)  # the same in each retry, so that the store ignores a repeated point
        self._no_room: TrackingError | None = None  # the error of an upload that did not fit on the disk

    @property
    def where_to_look(self) -> Mapping[str, str]:
        return where_to_look(self._uri, self._experiment_id, self._id)

    def log_config(self, description: RunDescription, tags: Mapping[str, str]) -> None:
        """Log the config first, then the parameters and tags; `tags` are the user's own and win."""

        def log() -> None:
            self._client.log_text(self._id, description.config_yaml, "config.yaml")
            log_parameters(self._client, self._id, description.parameters)
            self._set_tags({**description.tags, "cachelab.command": description.command, **tags})

        self._ask("cannot log the config", log)

    def log_dataset(self, dataset: LoadedDataset) -> None:
        """Log the dataset as an input of the run, its counts as the input's profile."""
        entity = Dataset(
            name=dataset.name,
            digest=dataset.digest[:_MAX_DIGEST],
            source_type="local" if "://" not in dataset.source else "http",
            source=json.dumps({"uri" if "://" not in dataset.source else "url": dataset.source}),
            profile=json.dumps(dict(dataset.counts)),
        )

        def log_input() -> None:
            self._client.log_inputs(self._id, [DatasetInput(entity, [InputTag("mlflow.data.context", "workload")])])
            self._set_tags({"cachelab.dataset_digest": dataset.digest})

        self._ask("cannot log the dataset", log_input)

    def log_parameters(self, parameters: Mapping[str, str]) -> None:
        self._ask("cannot log the parameters", lambda: log_parameters(self._client, self._id, parameters))

    def log_tags(self, tags: Mapping[str, str]) -> None:
        self._ask("cannot log the tags", lambda: self._set_tags(tags))

    def log_workload(self, numbers: Mapping[str, float]) -> None:
        """Keep the numbers until the result or the end: the run's page shows metrics in the order of their logging."""
        self._workload = numbers

    def log_result(self, numbers: Numbers, folder: Path) -> None:
        """Log what is new in the numbers, upload the folder, and show its summary.md on the run's page."""
        try:
            values = {**numbers.values, **{k: v for k, v in self._workload.items() if k not in numbers.values}}
            self._ask("cannot log the metrics", lambda: self._log(Numbers(values, numbers.series)))
            self._workload = {}
            self._ask("cannot upload the files", lambda: self._upload(folder))
        except TrackingError as error:
            needed = ""
            if no_room(error) is not None:
                self._no_room = error
                self._remove_copies(folder)
                needed = f" ({size(written_bytes(folder))} are needed)"
            raise TrackingError(f"{error}{needed}; the results are in {folder}") from error

    def _remove_copies(self, folder: Path) -> None:
        """Remove the incomplete copies of the folder's files from an artifact folder on a full disk."""
        with asking(self._uri, f"MLflow run {self._id}: cannot find the uploaded files"):
            copies = Path(self._client.get_run(self._id).info.artifact_uri.removeprefix("file://"))
        for path in folder.rglob("*"):
            if path.is_file() and path.name != "config.yaml":  # logged at the start
                (copies / path.relative_to(folder)).unlink(missing_ok=True)

    def end(self, error: BaseException | None) -> None:
        """Upload the logs and end the run: FINISHED without an error, KILLED after a KeyboardInterrupt, else FAILED.

        A run whose files did not fit on the disk is FAILED, and its logs are not uploaded. Raises TrackingError only
        if `error` is None.
        """
        error = error or self._no_room
        status = "FINISHED" if error is None else "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED"
        try:
            self._end(status, error=error)
        except TrackingError as lost:
            if error is None:
                raise
            log.warning("%s", lost)  # the error that ended the run is shown instead

    def end_as(self, status: str, reason: str | None, *, ended_ms: int) -> None:
        """Upload the logs and end a run whose job ended earlier, without the store. Raises TrackingError."""
        self._end(status, reason=reason, ended_ms=ended_ms)

    def _end(
        self,
        status: str,
        *,
        error: BaseException | None = None,
        reason: str | None = None,
        ended_ms: int | None = None,
    ) -> None:
        """Upload the logs and set the status; one retry if the store is away."""
        if error is not None:
            reason = reason_of(error)

        def log_end() -> None:
            if reason is not None:
                self._set_tags({"cachelab.error": without_secrets(reason)})
            if self._no_room is not None:
                return
            if self._workload:
                self._log(Numbers(self._workload, {}))
            if error is not None:
                text = without_secrets("".join(traceback.format_exception(error)))
                self._client.log_text(self._id, text, "error.txt")
            self._upload_logs()

        def terminate() -> None:
            self._client.set_terminated(self._id, status, end_time=ended_ms)
            if (found := self._client.get_run(self._id).info.status) != status:
                raise TrackingError(f"MLflow run {self._id}: set {status}, but the store says {found or 'nothing'}")

        try:
            self._ask(f"cannot set the run {status}", log_end, patience_s=_PAUSE_S)
        finally:
            self._ask(f"cannot set the run {status}", terminate, patience_s=_PAUSE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end(error)

    def _log(self, numbers: Numbers) -> None:
        """Log the numbers that the store does not hold yet; counts of 0 as one tag (zero_counts.py)."""
        values = {_key(key): float(value) for key, value in numbers.values.items()}
        series = {_key(key): steps for key, steps in numbers.series.items()}
        if self._begun:
            self._read_logged(series)
        zero = zero_counts({key: value for key, value in values.items() if key not in self._logged})
        new = {key: value for key, value in values.items() if self._logged.get(key) != value and key not in zero}
        metrics = [Metric(key, value, self._now_ms, 0) for key, value in new.items()]
        for key, steps in series.items():
            known = self._points.get(key, set())
            points = [(step, float(value)) for step, value in sorted(steps.items())]
            metrics += [Metric(key, value, self._now_ms, step) for step, value in points if (step, value) not in known]
        for batch in _batches(metrics, _METRICS_A_BATCH):
            self._client.log_batch(self._id, metrics=batch)
        if zero or self._begun:
            self._set_tags({ZERO_COUNTS: " ".join(zero)})
        self._logged |= new

    def _read_logged(self, series: Iterable[str]) -> None:
        """Read the numbers that an earlier process logged to this run."""
        held = self._client.get_run(self._id).data.metrics
        self._logged = {key: value for key, value in held.items() if key not in series}
        for key in held.keys() & set(series):
            history = self._client.get_metric_history(self._id, key)
            self._points[key] = {(point.step, point.value) for point in history}

    def _set_tags(self, tags: Mapping[str, str]) -> None:
        tagged = [RunTag(_key(key), cut(value, _MAX_TAG)) for key, value in tags.items()]
        for batch in _batches(tagged, _PARAMS_A_BATCH):
            self._client.log_batch(self._id, tags=batch)

    def _upload(self, folder: Path) -> None:
        self._client.log_artifacts(self._id, str(folder))
        summary = folder / "summary.md"
        if summary.is_file():
            self._set_tags({"mlflow.note.content": _cut_lines(summary.read_text(encoding="utf-8"), _MAX_TAG)})

    def _upload_logs(self) -> None:
        for handler in logging.getLogger().handlers:
            handler.flush()
        for path in sorted(self._output_dir.glob("*.log")):
            self._client.log_artifact(self._id, str(path))

    def _ask(self, what: str, call: Callable[[], None], *, patience_s: float | None = None) -> None:
        """Make a call that may be repeated; retry it for `patience_s` seconds while the store is away."""
        until = time.monotonic() + (_PATIENCE_S if patience_s is None else patience_s)
        while True:
            try:
                with transaction(self._uri), asking(self._uri, f"MLflow run {self._id}: {what}"):
                    return call()
            except TransientStoreError:
                if time.monotonic() >= until:
                    raise
                time.sleep(_PAUSE_S)


def log_parameters(client: MlflowClient, run_id: str, parameters: Mapping[str, str]) -> None:
    """Log parameters to a run; characters that MLflow refuses in a key become `_`, long values are cut."""
    params = [Param(_key(key), cut(value, _MAX_PARAM)) for key, value in parameters.items()]
    for batch in _batches(params, _PARAMS_A_BATCH):
        client.log_batch(run_id, params=batch)


def _key(name: str) -> str:
    return re.sub(r"[^/\w.\- :]", "_", name)[:250]


def _cut_lines(text: str, length: int) -> str:
    """As many complete lines as fit: half a row would break a Markdown table."""
    if len(text) <= length:
        return text
    end = "\n\n(The rest is in the artifact summary.md.)"
    return text[: length - len(end)].rpartition("\n")[0] + end


def _batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))
