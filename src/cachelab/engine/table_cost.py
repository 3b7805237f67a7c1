"""The simulated clock from measured steps: seconds interpolated between the points of a file."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic.dataclasses import dataclass

from cachelab.engine.step_cost import NS_PER_S, StepCost
from cachelab.engine.step_points import Floats, StepPoints
from cachelab.errors import ConfigError
from cachelab.strict_config import STRICT, FilePath

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, config=STRICT)
class TableCost:
    """Seconds of a step, interpolated between the points of the CSV file `path`, which experiment=calibrate writes.

    Between the points it is scipy's LinearNDInterpolator over prefill tokens, decoding sequences and context tokens (a
    number that is the same at all points is left out). Steps outside of the points' convex hull take the seconds of a
    linear model that is fitted to the points with no weight below 0; a note of the run says how many steps did. Raises
    ConfigError if the file is not a table of points, or if they lie in a plane.
    """

    path: FilePath

    def __post_init__(self) -> None:
        if self.table.is_flat:
            raise ConfigError(
                f"engine.cost.path: {self.path}: its {len(self.table)} points lie in a plane, so nothing lies between "
                "them: calibrate with more requests of different lengths and with engine.max_num_seqs above 1"
            )

    @cached_property
    def table(self) -> "StepTable":
        return StepTable(StepPoints.read(self.path))

    def clock(self) -> "TableClock":
        """The clock of one run."""
        return TableClock(self.table, self.path)


AnyCost = StepCost | TableCost
"""The cost models that a config can name."""


class TableClock:
    """Says how long the steps of one run take, and counts those outside of the points."""

    def __init__(self, table: "StepTable", path: str) -> None:
        self._table = table
        self._path = path
        self._passes = self._outside = 0

    def step_ns(self, prefill_tokens: int, decode_sequences: int, passes: int = 1, context_tokens: int = 0) -> int:
        """Nanoseconds of the passes, each rounded: a jump takes as long as its passes one by one."""
        work = np.zeros((passes, 3))
        work[0, 0] = prefill_tokens
        work[:, 1] = decode_sequences
        work[:, 2] = context_tokens + decode_sequences * np.arange(passes)
        seconds, outside = self._table.seconds(work)
        self._passes += passes
        self._outside += int(outside.sum())
        return int(np.maximum(np.rint(seconds * NS_PER_S), 1).astype(np.int64).sum())

    @property
    def notes(self) -> tuple[str, ...]:
        text = f"Simulated seconds are interpolated between the measured steps of {self._path}."
        if self._outside:
            share = 100 * self._outside / self._passes
            text += (
                f" {self._outside:,} of {self._passes:,} steps ({share:.2g} %) lie outside of them and take the "
                "seconds of a linear fit."
            )
        return (text,)


class StepTable:
    """Interpolates the seconds of steps. `is_flat`: the points lie in a plane, so every step is outside of them."""

    def __init__(self, points: StepPoints) -> None:
        self._points = points
        self._varies = np.ptp(points.work, axis=0) > 0
        self._between = self._interpolator()
        self.is_flat = self._between is None
        self.linear = _linear_model(points)

    def __len__(self) -> int:
        return len(self._points)

    def seconds(self, work: Floats) -> tuple[Floats, Bools]:
        """Seconds of each step, and whether it lies outside of the points. Shapes: work (n, 3), results (n,)."""
        if self._between is None:
            return self.linear(work), np.ones(len(work), np.bool_)
        found = self._between(work[:, self._varies])
        same = self._points.work[0, ~self._varies]
        outside = np.isnan(found) | (work[:, ~self._varies] != same).any(axis=1)
        return np.where(outside, self.linear(work), found), outside

    def _interpolator(self) -> Callable[[Floats], Floats] | None:
        from scipy.interpolate import LinearNDInterpolator, interp1d
        from scipy.spatial import QhullError

        columns, seconds = self._points.work[:, self._varies], self._points.seconds
        if columns.shape[1] == 0:
            return lambda work: np.full(len(work), float(np.median(seconds)))
        if columns.shape[1] == 1:
            xs, first = np.unique(columns[:, 0], return_index=True)
            line = interp1d(xs, seconds[first], bounds_error=False, fill_value=np.nan)
            return lambda work: np.asarray(line(work[:, 0]), np.float64)
        try:
            found: Any = LinearNDInterpolator(columns, seconds, rescale=True)
        except QhullError:
            return None
        return lambda work: np.asarray(found(work), np.float64)


def _linear_model(points: StepPoints) -> Callable[[Floats], Floats]:
    """Seconds as a constant plus a weight per number, fitted with no weight below 0 (scipy's nnls)."""
    from scipy.optimize import nnls

    terms = np.column_stack([np.ones(len(points)), points.work])
    scale = np.maximum(terms.max(axis=0), 1e-300)
    weights = nnls(terms / scale, points.seconds)[0] / scale
    return lambda work: weights[0] + work @ weights[1:]
