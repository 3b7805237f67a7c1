"""A tracked run that continues without its store, and the record that each job writes into its folder."""

import logging
import re
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from cachelab.dataset.base import LoadedDataset
from cachelab.disk import writing
from cachelab.error_format import format_error
from cachelab.errors import StorageError, TrackingError
from cachelab.interrupt import deferred, received
from cachelab.metrics.base import Numbers
from cachelab.override import quoted
from cachelab.tracking.base import TrackedRun, Tracking
from cachelab.tracking.description import RunDescription
from cachelab.tracking.job_record import JobRecord

log = logging.getLogger(__name__)


class FallbackRun:
    """A TrackedRun that continues when its store fails; `untracked` is then the reason, else None.

    A single job does not start without its store (TrackingError). A job of a sweep does, because the sweep has found
    the store already.
    """

    def __init__(self, tracking: Tracking, description: RunDescription) -> None:
        self._tracking = tracking
        self._description = description
        self._run: TrackedRun | None = None
        self._started_ms = _now_ms()
        self._values: Mapping[str, float] = {}
        self._series: Mapping[str, Mapping[int, float]] = {}
        self._dataset: Mapping[str, object] | None = None
        self._ended = False
        self._parameters = dict(description.parameters)
        self._tags = dict(description.tags)
        self.untracked: str | None = None

    @property
    def run_id(self) -> str | None:
        return self._run.run_id if self._run is not None else None

    @property
    def where_to_look(self) -> Mapping[str, str]:
        if self.untracked is not None:
            return {"to track it": sync_command(self._description.output_dir, self._description.overrides)}
        return self._run.where_to_look if self._run is not None else {}

    def log_dataset(self, dataset: LoadedDataset) -> None:
        self._dataset = {
            "name": dataset.name,
            "source": dataset.source,
            "digest": dataset.digest,
            "counts": dict(dataset.counts),
        }
        self._try(lambda run: run.log_dataset(dataset))

    def log_workload(self, numbers: Mapping[str, float]) -> None:
        self._values = dict(numbers)
        self._try(lambda run: run.log_workload(numbers))

    def log_result(self, numbers: Numbers, folder: Path) -> None:
        self._values, self._series = numbers.values, numbers.series
        self._try(lambda run: run.log_result(numbers, folder))

    def log_parameters(self, parameters: Mapping[str, str]) -> None:
        new = {key: value for key, value in parameters.items() if self._parameters.get(key) != value}
        self._parameters |= new
        self._try(lambda run: run.log_parameters(new))

    def log_tags(self, tags: Mapping[str, str]) -> None:
        self._tags |= tags
        self._try(lambda run: run.log_tags(tags))

    def __enter__(self) -> Self:
        try:
            if self._description.sweep is None:  # a sweep has done it for all its jobs
                self._tracking.end_dead_runs()
            with deferred():  # a signal waits until self._run is set
                self._run = self._tracking.start(self._description)
        except TrackingError as error:
            if self._description.sweep is None:
                raise
            self._lose(error)
        except KeyboardInterrupt as signal:
            if self._run is not None:
                self.__exit__(type(signal), signal, signal.__traceback__)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the run. A signal that arrives meanwhile waits: a run that is complete stays FINISHED."""
        try:
            with deferred():
                self._end(received() or error)
        except KeyboardInterrupt as signal:
            if not self._ended:  # the signal arrived before `deferred`
                self._end(signal)
            raise

    def _end(self, error: BaseException | None) -> None:
        """Write the record, then end the run. A run whose record does not fit on the disk is FAILED."""
        self._ended = True
        lost: StorageError | None = None
        try:
            self._write_record(error)
        except StorageError as no_room:
            if error is not None:
                log.warning("%s", no_room)  # the error that ended the run is shown instead
            error = error or no_room
            lost = no_room
        untracked = self.untracked
        if self._run is not None:
            try:
                self._run.__exit__(None if error is None else type(error), error, None)
            except TrackingError as away:
                self._lose(away)
        if self.untracked != untracked and lost is None:
            self._write_record(error)
        if lost is error and lost is not None:
            raise lost

    def _write_record(self, error: BaseException | None) -> None:
        folder = self._description.output_dir
        with writing(folder, "write elsewhere with hydra.run.dir=FOLDER (a sweep: hydra.sweep.dir=FOLDER)"):
            self._record(error).write(folder)

    def _try(self, what: Callable[[TrackedRun], None]) -> None:
        """Call the store, unless an earlier call failed: each further call would wait for it again."""
        if self._run is None or self.untracked is not None:
            return
        try:
            what(self._run)
        except TrackingError as error:
            self._lose(error)

    def _lose(self, error: TrackingError) -> None:
        if self.untracked is None:
            self.untracked = format_error(error)
            command = sync_command(self._description.output_dir, self._description.overrides)
            log.warning(
                "not tracked: %s; the job continues, its results stay in its folder: %s", self.untracked, command
            )

    def _record(self, error: BaseException | None) -> JobRecord:
        return replace(
            failed_record(self._description, error),
            started_ms=self._started_ms,
            parameters=self._parameters,
            tags=self._tags,
            values=dict(self._values),
            series={name: dict(steps) for name, steps in self._series.items()},
            dataset=self._dataset,
            run_id=self.run_id,
            untracked=self.untracked,
        )


def failed_record(description: RunDescription, error: BaseException | None) -> JobRecord:
    """The record of a job that ended with this error (None: without one), without numbers."""
    sweep = description.sweep
    killed = isinstance(error, KeyboardInterrupt)
    return JobRecord(
        run_name=description.run_name,
        status="FINISHED" if error is None else "KILLED" if killed else "FAILED",
        overrides=description.overrides,
        command=description.command,
        parameters=description.parameters,
        tags=description.tags,
        config_yaml=description.config_yaml,
        job_digest=description.job_digest,
        started_ms=_now_ms(),
        ended_ms=_now_ms(),
        error=None if error is None else format_error(error),
        parent_run_id=None if sweep is None else sweep.parent_run_id,
        number=None if sweep is None else sweep.number,
    )


def sync_command(folder: Path, overrides: Sequence[str]) -> str:
    """The command that logs the jobs in a folder to the store that the overrides name."""
    store = [override for override in overrides if override.lstrip("+").startswith("tracking.")]
    text = str(folder)
    if re.search(r"[^A-Za-z0-9_./@%+~-]", text):  # Hydra takes other characters in quotes only
        text = quoted(text)
    return shlex.join(["python", "-m", "cachelab", f"sync={text}", *store])


def _now_ms() -> int:
    return int(time.time() * 1000)
