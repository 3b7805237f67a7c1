"""A sample in a few numbers, each a metric of its own."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from cachelab.metrics.base import Metric
from cachelab.metrics.observation import Observation

Sample = npt.NDArray[np.floating[Any] | np.integer[Any]]

_STATISTICS: Mapping[str, tuple[str, Callable[[Sample], float]]] = {
    "mean": ("Mean", lambda sample: float(np.mean(sample))),
    "min": ("Least", lambda sample: float(np.min(sample))),
    "max": ("Greatest", lambda sample: float(np.max(sample))),
    "p50": ("Median", lambda sample: float(np.percentile(sample, 50))),
    "p95": ("95th percentile (linear interpolation)", lambda sample: float(np.percentile(sample, 95))),
}


def distribution(
    name: str, unit: str, what: str, sample: Callable[[Observation], Sample], statistics: Iterable[str]
) -> tuple[Metric, ...]:
    """A metric for each statistic (mean, min, max, p50, p95) of a sample, absent where the sample is empty.

    `name` holds a `{}` for the statistic's name; `what` ends the sentence "Mean ...".
    """

    def metric(statistic: str) -> Metric:
        word, reduce = _STATISTICS[statistic]

        def compute(observation: Observation) -> float | None:
            values = sample(observation)
            return reduce(values) if len(values) else None

        return Metric(name.format(statistic), unit, f"{word} {what}.", compute)

    return tuple(metric(statistic) for statistic in statistics)
