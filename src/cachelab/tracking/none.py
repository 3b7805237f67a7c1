"""A run without a store: only the files in the job's folder."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic.dataclasses import dataclass

from cachelab.dataset.base import LoadedDataset
from cachelab.metrics.base import Numbers
from cachelab.strict_config import STRICT
from cachelab.tracking.description import RunDescription


class UntrackedRun:
    """A run that is not stored."""

    run_id: str | None = None
    where_to_look: Mapping[str, str] = {}

    def log_dataset(self, dataset: LoadedDataset) -> None:
        """Nothing to log."""

    def log_parameters(self, parameters: Mapping[str, str]) -> None:
        """Nothing to log."""

    def log_tags(self, tags: Mapping[str, str]) -> None:
        """Nothing to log."""

    def log_workload(self, numbers: Mapping[str, float]) -> None:
        """Nothing to log."""

    def log_result(self, numbers: Numbers, folder: Path) -> None:
        """Nothing to log: the files stay in the folder."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to end."""


@dataclass(frozen=True, config=STRICT)
class NoTracking:
    """Runs are not recorded anywhere."""

    def find_finished(self, description: RunDescription, *, anywhere: bool) -> None:
        """Earlier runs are unknown."""

    def end_dead_runs(self) -> None:
        """Earlier runs are unknown."""

    def start(self, description: RunDescription) -> UntrackedRun:
        return UntrackedRun()
