"""What every tracking store can do."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from cachelab.dataset.base import LoadedDataset
from cachelab.metrics.base import Numbers
from cachelab.tracking.description import RunDescription


class TrackedRun(Protocol):
    """One run in a store, to be used as a context manager.

    Leaving it ends the run: FINISHED, FAILED if an exception passes through, KILLED if that is a KeyboardInterrupt.
    The job's log files are kept in each case.
    """

    @property
    def run_id(self) -> str | None:
        """The store's id of the run; None where nothing is stored."""
        ...

    @property
    def where_to_look(self) -> Mapping[str, str]:
        """Label -> text (a command, an address) that leads a person to the run."""
        ...

    def log_dataset(self, dataset: LoadedDataset) -> None: ...

    def log_parameters(self, parameters: Mapping[str, str]) -> None:
        """Keep further settings that the run uses."""
        ...

    def log_tags(self, tags: Mapping[str, str]) -> None:
        """Keep further facts about the run, as text."""
        ...

    def log_workload(self, numbers: Mapping[str, float]) -> None:
        """Keep the numbers that are known before the engine starts."""
        ...

    def log_result(self, numbers: Numbers, folder: Path) -> None:
        """Keep the numbers and every file of the folder. Raises TrackingError; the folder stays as it is."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@dataclass(frozen=True)
class FinishedRun:
    """A run that need not be run again."""

    run_id: str
    values: Mapping[str, float]


class Tracking(Protocol):
    """A store of runs."""

    def find_finished(self, description: RunDescription, *, anywhere: bool) -> FinishedRun | None:
        """The finished run of the same job in the same sweep or, if `anywhere`, in the same experiment.

        Raises TrackingError if the store cannot be asked.
        """
        ...

    def end_dead_runs(self) -> None:
        """End the runs that a dead process of this machine left as running. Raises TrackingError, as `start` does."""
        ...

    def start(self, description: RunDescription) -> TrackedRun:
        """Create the run and keep its config, before any work. Raises TrackingError if the store cannot be used."""
        ...
