"""One run in an MLflow store; imports MLflow, so it is imported only when a run starts."""

import json
import logging
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag

from cachelab.dataset.base import LoadedDataset
from cachelab.disk import no_room, size, written_bytes
from cachelab.errors import TrackingError
from cachelab.interrupt import transaction
from cachelab.metrics.base import Numbers
from cachelab.secret import without_secrets
from cachelab.tracking.description import RunDescription
from cachelab.tracking.mlflow.address import where_to_look
from cachelab.tracking.mlflow.entries import MAX_TAG, cut_lines, log_parameters, set_tags
from cachelab.tracking.mlflow.errors import TransientStoreError, asking
from cachelab.tracking.mlflow.errors import reason as reason_of
from cachelab.tracking.mlflow.logged_metrics import LoggedMetrics

log = logging.getLogger(__name__)

_MAX_DIGEST = 36  # MLflow's limit, in characters
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
        self._metrics = LoggedMetrics(client, run_id, begun=begun)
        self._workload: Mapping[str, float] = {}  # not logged yet
        self._no_room: TrackingError | None = None  # the error of an upload that did not fit on the disk

    @property
    def where_to_look(self) -> Mapping[str, str]:
        return where_to_look(self._uri, self._experiment_id, self._id)

    def log_config(self, description: RunDescription, tags: Mapping[str, str]) -> None:
        """Log the config first, then the parameters and tags; `tags` are the user's own and win."""

        def log() -> None:
            self._client.log_text(self._id, description.config_yaml, "config.yaml")
            log_parameters(self._client, self._id, description.parameters)
            set_tags(self._client, self._id, {**description.tags, "cachelab.command": description.command, **tags})

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
            set_tags(self._client, self._id, {"cachelab.dataset_digest": dataset.digest})

        self._ask("cannot log the dataset", log_input)

    def log_parameters(self, parameters: Mapping[str, str]) -> None:
        self._ask("cannot log the parameters", lambda: log_parameters(self._client, self._id, parameters))

    def log_tags(self, tags: Mapping[str, str]) -> None:
        self._ask("cannot log the tags", lambda: set_tags(self._client, self._id, tags))

    def log_workload(self, numbers: Mapping[str, float]) -> None:
        """Keep the numbers until the result or the end: the run's page shows metrics in the order of their logging."""
        self._workload = numbers

    def log_result(self, numbers: Numbers, folder: Path) -> None:
        """Log what is new in the numbers, upload the folder, and show its summary.md on the run's page."""
        try:
            values = {**numbers.values, **{k: v for k, v in self._workload.items() if k not in numbers.values}}
            self._ask("cannot log the metrics", lambda: self._metrics.log(Numbers(values, numbers.series)))
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
                set_tags(self._client, self._id, {"cachelab.error": without_secrets(reason)})
            if self._no_room is not None:
                return
            if self._workload:
                self._metrics.log(Numbers(self._workload, {}))
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

    def _upload(self, folder: Path) -> None:
        self._client.log_artifacts(self._id, str(folder))
        summary = folder / "summary.md"
        if summary.is_file():
            text = cut_lines(summary.read_text(encoding="utf-8"), MAX_TAG)
            set_tags(self._client, self._id, {"mlflow.note.content": text})

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
