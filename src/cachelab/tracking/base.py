"""The protocols of a tracking store and of a run in it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from cachelab.dataset.base import LoadedDataset
from cachelab.metrics.base import Numbers
from cachelab.tracking.description import RunDescription


class TrackedRun(Protocol):
    """One run in a store, used as a context manager.

    The end of the context ends the run: FAILED after an exception, KILLED after a KeyboardInterrupt, else FINISHED. The
    job's log files are uploaded in each case.
    """

    @property
    def run_id(self) -> str | None:
        """The id of the run in the store; None if nothing is stored."""
        ...

    @property
    def where_to_look(self) -> Mapping[str, str]:
        """Label -> a command or an address that leads to the run."""
        ...

    def log_dataset(self, dataset: LoadedDataset) -> None: ...

    def log_parameters(self, parameters: Mapping[str, str]) -> None:
        """Log further settings that the run uses."""
        ...

    def log_tags(self, tags: Mapping[str, str]) -> None:
        """Log further facts about the run, as text."""
        ...

    def log_workload(self, numbers: Mapping[str, float]) -> None:
        """Log the numbers that are known before the engine starts."""
        ...

    def log_result(self, numbers: Numbers, folder: Path) -> None:
        """Log the numbers and every file of the folder, which is not changed. Raises TrackingError."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@dataclass(frozen=True)
class FinishedRun:
    """A finished run: its job is not run again."""

    run_id: str
    values: Mapping[str, float]


class Tracking(Protocol):
    """A store of runs."""

    def find_finished(self, description: RunDescription, *, anywhere: bool) -> FinishedRun | None:
        """The finished run of the same job in the same sweep or, with `anywhere`, in the same experiment; else None.

        Raises TrackingError if the store does not answer.
        """
        ...

    def end_dead_runs(self) -> None:
        """End the runs of this machine whose process died without ending them. Raises TrackingError."""
        ...

    def start(self, description: RunDescription) -> TrackedRun:
        """Create the run and log its config. Raises TrackingError if the store cannot be used."""
        ...
