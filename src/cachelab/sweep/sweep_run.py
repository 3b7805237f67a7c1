"""The run of a sweep in its store: opened before any job starts, ended with the sweep's report."""

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cachelab.errors import TrackingError
from cachelab.interrupt import deferred
from cachelab.sweep.description import SweepDescription
from cachelab.sweep.ending import ending_of

if TYPE_CHECKING:
    from cachelab.config import SweepConfig
    from cachelab.sweep.sweep_job import SweepJob
    from cachelab.tracking.mlflow.tracking import MlflowTracking

log = logging.getLogger(__name__)


class SweepRun:
    """The run in the store under which the runs of the jobs are listed; without tracking nothing is stored.

    `id` is None as long as the run has not begun.
    """

    def __init__(self, tracking: "MlflowTracking | None" = None) -> None:
        self._tracking = tracking
        self.id: str | None = None
        self._ended = False

    @property
    def is_tracked(self) -> bool:
        return self._tracking is not None

    def begin(
        self, description: SweepDescription, settings: "SweepConfig", *, storage: str | None, study: str | None
    ) -> str:
        """Open the run in the store. Returns its id. `storage` and `study`: where a search has its trials.

        Raises TrackingError.
        """
        from cachelab.sweep.study import holds_trials

        assert self._tracking is not None
        with self._tracking.open() as store:
            from cachelab.sweep.parent_run import begin

            self.id, note = begin(
                store,
                description,
                resume=settings.skip_finished is not False,
                resume_finished=holds_trials(storage, study, description.search_digest),
                force_resume=settings.force_resume,
            )
            store.end_dead_runs()
        if note:
            print(f"cachelab: {note}", file=sys.stderr)
        return self.id

    def jobs(self) -> "Sequence[SweepJob]":
        """The jobs that the store holds. Raises TrackingError."""
        if self._tracking is None or self.id is None:
            return ()
        with self._tracking.open() as store:
            from cachelab.sweep.parent_run import close_stale, jobs_of

            close_stale(store, self.id)
            return jobs_of(store, self.id)

    def fetch_to(self, scratch: Path) -> "Callable[[SweepJob], Path | None]":
        """A function that finds the table of a job's requests, in its folder or in the store; None without one."""

        def fetch(job: "SweepJob") -> Path | None:
            local = None if job.folder is None else job.folder / "requests.parquet"
            if local is not None and local.is_file():
                return local
            if self._tracking is None or job.run_id is None:
                return None
            try:
                with self._tracking.open() as store:
                    from cachelab.sweep.parent_run import fetch

                    return fetch(store, job, scratch)
            except TrackingError as absent:  # the job wrote no table, or the store is away: the other jobs are compared
                log.warning("job %d is not compared: %s", job.number, absent)
                return None

        return fetch

    def end(self, ending: dict[str, Any], folder: Path | None) -> Mapping[str, str]:
        """End the run; labelled commands and addresses that lead to it. Raises TrackingError."""
        if self._tracking is None or self.id is None:
            return {}
        with self._tracking.open() as store:
            from cachelab.sweep.parent_run import end
            from cachelab.tracking.mlflow.address import where_to_look

            end(store, folder=folder, **ending)
            self._ended = True
            return where_to_look(store.uri, store.experiment_id, self.id)

    def give_up(self, error: BaseException) -> None:
        """End the run without a report, unless it has ended."""
        if self._ended:
            return
        try:
            with deferred():
                self.end(ending_of(self.id, None, error), None)
        except TrackingError as away:
            log.warning("the status of the sweep's run could not be set: %s", away)
