"""Metrics: name, unit, definition and computation in one place."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, Literal, NamedTuple, TypeVar

from cachelab.metrics.observation import NotMeasured, Observation

Value = TypeVar("Value")


class Ratio(NamedTuple):
    """A numerator and its denominator, in the same unit."""

    numerator: float
    denominator: float

    @property
    def value(self) -> float | None:
        """The quotient; None if the denominator is 0."""
        return self.numerator / self.denominator if self.denominator else None


@dataclass(frozen=True, slots=True)
class _Definition(Generic[Value]):
    """`definition` is one sentence. `absent_when` completes "The metric is absent when ..."; "" leaves it open.

    docs/metrics.md and summary.md show these texts.
    """

    name: str
    unit: str
    definition: str
    compute: Callable[[Observation], Value]
    absent_when: str = ""

    def unit_label(self, clock: Literal["simulated", "wall"]) -> str:
        """The unit as it is shown: seconds of a simulated clock are marked as simulated."""
        simulated = clock == "simulated" and "s" in self.unit.split("/")
        return f"{self.unit} (simulated)" if simulated else self.unit


class Metric(_Definition[float | None]):
    """One number per run. `compute` returns None where the number is undefined (zero denominator), never 0."""

    __slots__ = ()


class Series(_Definition[Mapping[int, float]]):
    """One number per step (a turn index, a minute). `compute` omits the steps where the number is undefined."""

    __slots__ = ()


AnyMetric = Metric | Series

NEVER = "never"
"""The `absent_when` of a metric that every run has."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """The numbers of a run: `values` by metric name, `series` by metric name and step."""

    values: Mapping[str, float]
    series: Mapping[str, Mapping[int, float]]


def measure(metrics: Iterable[AnyMetric], observation: Observation) -> Numbers:
    """Compute every metric. Undefined numbers, and those that need what was not measured, are omitted."""
    values: dict[str, float] = {}
    series: dict[str, Mapping[int, float]] = {}
    for metric in metrics:
        try:
            if isinstance(metric, Series):
                if steps := metric.compute(observation):
                    series[metric.name] = steps
            elif (value := metric.compute(observation)) is not None:
                values[metric.name] = value
        except NotMeasured:
            continue
    return Numbers(values, series)
