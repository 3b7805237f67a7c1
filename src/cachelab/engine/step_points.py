"""Measured scheduler steps: what each computed and how long it took, and the points of a cost table made of them."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cachelab.error_format import reason
from cachelab.errors import ConfigError

COLUMNS = ("prefill_tokens", "decode_sequences", "context_tokens", "seconds")
"""The columns of a file of points."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class StepPoints:
    """Steps, or points of a table. `work`: prefill tokens, decoding sequences, context tokens.

    engine/vllm/step_work.py defines the three. Shapes: work (num_points, 3), seconds (num_points,).
    """

    work: Floats
    seconds: Floats

    def __len__(self) -> int:
        return len(self.seconds)

    @classmethod
    def of(cls, steps: Sequence[tuple[int, int, int, float]]) -> "StepPoints":
        """The points of rows (prefill tokens, decoding sequences, context tokens, seconds)."""
        table = np.asarray(steps, np.float64).reshape(-1, 4)
        return cls(table[:, :3], table[:, 3])

    def split(self) -> tuple["StepPoints", "StepPoints"]:
        """Four fifths of the steps, and every fifth one, which are held out."""
        held_out = np.arange(len(self)) % 5 == 4
        return (
            StepPoints(self.work[~held_out], self.seconds[~held_out]),
            StepPoints(self.work[held_out], self.seconds[held_out]),
        )

    def averaged(self) -> "StepPoints":
        """One point per group of similar steps: the means of their work, and the median of their seconds.

        Numbers below 16 are compared exactly, others by bins whose ends are a tenth apart.
        """
        if not len(self):
            return self
        cell = np.where(self.work < _EXACT_UP_TO, self.work, np.round(np.log(np.maximum(self.work, 1)) / _RATIO) + 1e6)
        cells, group = np.unique(cell, axis=0, return_inverse=True)
        group = group.reshape(-1)
        sizes = np.bincount(group, minlength=len(cells))
        means = [np.bincount(group, column, minlength=len(cells)) / sizes for column in self.work.T]
        medians = [float(np.median(self.seconds[group == number])) for number in range(len(cells))]
        return StepPoints(np.column_stack(means), np.asarray(medians))

    def write(self, path: Path) -> None:
        """Write the points as CSV."""
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            for work, seconds in zip(self.work.tolist(), self.seconds.tolist(), strict=True):
                writer.writerow([*(f"{number:.10g}" for number in work), f"{seconds:.9f}"])

    @classmethod
    def read(cls, path: str) -> "StepPoints":
        """Read points. Raises ConfigError that names the line and the column."""
        try:
            with Path(path).expanduser().open(newline="", encoding="utf-8") as file:
                rows = list(csv.reader(file))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise ConfigError(
                f"engine.cost.path: {path} cannot be read ({reason(error)}): name a CSV file of steps"
            ) from error
        if not rows or tuple(rows[0]) != COLUMNS:
            raise ConfigError(
                f"engine.cost.path: {path}: line 1 is not {','.join(COLUMNS)}: experiment=calibrate writes such a file"
            )
        table = [_row(row, f"engine.cost.path: {path}: line {line}") for line, row in enumerate(rows[1:], 2)]
        if not table:
            raise ConfigError(f"engine.cost.path: {path} has no points: run experiment=calibrate with more requests")
        values = np.asarray(table, np.float64)
        return cls(values[:, :3], values[:, 3])


_EXACT_UP_TO = 16
"""Below this number, tokens and sequences are grouped only with equal ones."""

_RATIO = np.log(1.1)


def _row(row: Sequence[str], where: str) -> list[float]:
    if len(row) != len(COLUMNS):
        raise ConfigError(f"{where} has {len(row)} cells, not {len(COLUMNS)}: correct it")
    values: list[float] = []
    for name, cell in zip(COLUMNS, row, strict=True):
        try:
            value = float(cell)
        except ValueError as error:
            raise ConfigError(f"{where}: {name} is {cell!r}, not a number: correct it") from error
        low, high = (1e-9, 3600.0) if name == "seconds" else (0.0, 1e12)
        if not low <= value <= high:  # also refuses NaN
            raise ConfigError(f"{where}: {name} is {cell}, not a number from {low:g} to {high:g}: correct it")
        values.append(value)
    return values
