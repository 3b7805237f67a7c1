"""The simulated clock from measured steps: seconds interpolated between the points of a file."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from pydantic.dataclasses import dataclass

from cachelab.engine.step_cost import NS_PER_S
from cachelab.engine.step_points import Floats, StepPoints
from cachelab.errors import ConfigError
from cachelab.strict_config import STRICT, FilePath


@dataclass(frozen=True, config=STRICT)
class TableCost:
    """Seconds of a step, interpolated between the points of the CSV file `path`, which experiment=calibrate writes.

    Between the points it is scipy's LinearNDInterpolator over prefill tokens, decoding sequences and context tokens, a
    number that is the same at all points left out. Steps outside of the points (their convex hull) take the seconds of
    a linear model that is fitted to the points, with no weight below 0; the run says how many steps did. Raises
    ConfigError if the file is not a table of points, or if the points do not span a volume.
    """

    path: FilePath

    def __post_init__(self) -> None:
        _ = self.table  # the file is checked before the run

    @cached_property
    def table(self) -> "StepTable":
        return StepTable(StepPoints.read(self.path), f"engine.cost.path: {self.path}")

    def step_ns(
        self, prefill_tokens: int, decode_sequences: int, passes: int = 1, *, context_tokens: int = 0
    ) -> int:
        """Nanoseconds of a step, as in StepCost. The context grows by one token per decoding sequence and pass."""
        work = np.zeros((passes, 3))
        work[0, 0] = prefill_tokens
        work[:, 1] = decode_sequences
        work[:, 2] = context_tokens + decode_sequences * np.arange(passes)
        seconds, _ = self.table.seconds(work)
        return int(np.maximum(np.rint(seconds * NS_PER_S), 1).astype(np.int64).sum())


class StepTable:
    """Interpolates the seconds of steps. `where` starts the message of a ConfigError."""

    def __init__(self, points: StepPoints, where: str) -> None:
        self._points = points
        self._varies = np.ptp(points.work, axis=0) > 0
        self._inside = self._interpolator(where)
        self._linear = _linear_model(points)
        self.asked = self.outside = 0

    def seconds(self, work: Floats) -> tuple[Floats, Floats]:
        """Seconds of each step, and whether it is outside of the points. Shapes: work (n, 3), results (n,)."""
        found = self._inside(work[:, self._varies])
        same = self._points.work[0, ~self._varies]
        outside = np.isnan(found) | (work[:, ~self._varies] != same).any(axis=1)
        found = np.where(outside, self._linear(work), found)
        self.asked += len(work)
        self.outside += int(outside.sum())
        return found, outside

    def _interpolator(self, where: str) -> Callable[[Floats], Floats]:
        from scipy.interpolate import LinearNDInterpolator, interp1d
        from scipy.spatial import QhullError

        columns, seconds = self._points.work[:, self._varies], self._points.seconds
        if columns.shape[1] == 0:
            return lambda work: np.full(len(work), float(np.median(seconds)))
        if columns.shape[1] == 1:
            xs, first = np.unique(columns[:, 0], return_index=True)
            line = interp1d(xs, seconds[first], bounds_error=False, fill_value=np.nan)
            return lambda work: np.asarray(line(work[:, 0]))
        try:
            found: Any = LinearNDInterpolator(columns, seconds, rescale=True)
        except QhullError as error:
            raise ConfigError(
                f"{where}: its {len(seconds)} points lie in a plane, so nothing lies between them: calibrate with "
                "more requests of different lengths and engine.max_num_seqs above 1"
            ) from error
        return lambda work: np.asarray(found(work), np.float64)


def _linear_model(points: StepPoints) -> Callable[[Floats], Floats]:
    """Seconds as a constant plus a weight per number, fitted with no weight below 0 (scipy's nnls)."""
    from scipy.optimize import nnls

    terms = np.column_stack([np.ones(len(points)), points.work])
    scale = np.maximum(terms.max(axis=0), 1e-300)
    weights = nnls(terms / scale, points.seconds)[0] / scale
    return lambda work: weights[0] + work @ weights[1:]
