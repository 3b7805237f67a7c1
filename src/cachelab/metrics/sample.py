"""A sample in which each value has a number of occurrences."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.floating[Any] | np.integer[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class WeightedSample:
    """Different whole numbers in ascending order, each with its occurrences.

    `whole`: int64, shape (num_values,). `counts`: int64, shape (num_values,), from 1. The values of the sample are
    `whole / unit`, for example seconds of nanoseconds with a unit of 10^9.
    """

    whole: Int64s
    counts: Int64s
    unit: int | float = 1

    @classmethod
    def of(cls, whole: Int64s, counts: Int64s) -> "WeightedSample":
        """The sample of these values, which can repeat and have any order. Shape of both: (num_values,)."""
        different, place = np.unique(whole, return_inverse=True)
        sums = np.zeros(len(different), np.int64)
        np.add.at(sums, place, counts)
        return cls(different, sums)

    def per(self, unit: int | float) -> "WeightedSample":
        """The sample of the values divided by `unit`."""
        return replace(self, unit=self.unit * unit)

    def __len__(self) -> int:
        return int(self.counts.sum())

    @property
    def values(self) -> Numbers:
        """The different values, ascending: int64 in units of 1, else float64. Shape: (num_values,)."""
        return self.whole if self.unit == 1 else self.whole / self.unit

    @property
    def mean(self) -> float:
        """The exact sum, divided once: the result does not depend on the order of the sample."""
        total = sum(value * count for value, count in zip(self.whole.tolist(), self.counts.tolist(), strict=True))
        return float(total / (len(self) * self.unit))

    def percentile(self, percent: float) -> float:
        """The percentile with linear interpolation, to the last bit that of `numpy.percentile`."""
        place = (len(self) - 1) * (percent / 100)
        low = int(place)
        ends = np.cumsum(self.counts)
        a, b = self.values[np.searchsorted(ends, [low, min(low + 1, len(self) - 1)], side="right")].tolist()
        part = place - low
        return float(a + (b - a) * part if part < 0.5 else b - (b - a) * (1 - part))
