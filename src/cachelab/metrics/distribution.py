"""Metrics that summarize a sample: mean, minimum, maximum, percentiles."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from cachelab.metrics.base import Metric
from cachelab.metrics.observation import Observation
from cachelab.metrics.sample import WeightedSample

Sample = npt.NDArray[np.floating[Any] | np.integer[Any]] | WeightedSample


def _mean(sample: Sample) -> float:
    return sample.mean if isinstance(sample, WeightedSample) else float(np.mean(sample))


def _values(sample: Sample) -> npt.NDArray[np.floating[Any] | np.integer[Any]]:
    return sample.values if isinstance(sample, WeightedSample) else sample


def _percentile(sample: Sample, percent: float) -> float:
    if isinstance(sample, WeightedSample):
        return sample.percentile(percent)
    return float(np.percentile(sample, percent))


_STATISTICS: Mapping[str, tuple[str, Callable[[Sample], float]]] = {
    "mean": ("Mean", _mean),
    "min": ("Minimum", lambda sample: float(np.min(_values(sample)))),
    "max": ("Maximum", lambda sample: float(np.max(_values(sample)))),
    "p50": ("Median", lambda sample: _percentile(sample, 50)),
    "p95": ("95th percentile (linear interpolation) of the", lambda sample: _percentile(sample, 95)),
}


def distribution(
    name: str,
    unit: str,
    what: str,
    sample: Callable[[Observation], Sample],
    statistics: Iterable[str],
    empty_when: str,
) -> tuple[Metric, ...]:
    """One metric per statistic (mean, min, max, p50, p95) of a sample. They are absent if the sample is empty.

    `name` contains `{}` for the statistic's name. `what` completes the sentence "Mean ...", `empty_when` the sentence
    "The sample is empty when ...".
    """

    def metric(statistic: str) -> Metric:
        word, reduce = _STATISTICS[statistic]

        def compute(observation: Observation) -> float | None:
            values = sample(observation)
            return reduce(values) if len(values) else None

        return Metric(name.format(statistic), unit, f"{word} {what}.", compute, empty_when)

    return tuple(metric(statistic) for statistic in statistics)
