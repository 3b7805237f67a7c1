"""What a metric is: its name, unit and definition in one place."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, Literal, NamedTuple, TypeVar

from cachelab.metrics.observation import Observation

Value = TypeVar("Value")


class Ratio(NamedTuple):
    """A numerator and its denominator, in one unit."""

    numerator: float
    denominator: float

    @property
    def value(self) -> float | None:
        """The quotient; None where the denominator is 0."""
        return self.numerator / self.denominator if self.denominator else None


@dataclass(frozen=True, slots=True)
class _Definition(Generic[Value]):
    name: str
    unit: str
    definition: str
    compute: Callable[[Observation], Value]

    def unit_label(self, clock: Literal["simulated", "wall"]) -> str:
        """The unit as it is shown: seconds of a simulated clock are called so."""
        simulated = clock == "simulated" and "s" in self.unit.split("/")
        return f"{self.unit} (simulated)" if simulated else self.unit


class Metric(_Definition[float | None]):
    """One number of a run; `compute` gives None where it is undefined (an empty denominator), never 0."""

    __slots__ = ()


class Series(_Definition[Mapping[int, float]]):
    """One number a step (a turn index); steps where it is undefined are absent."""

    __slots__ = ()


AnyMetric = Metric | Series


@dataclass(frozen=True, slots=True)
class Numbers:
    """The numbers of a run by name: plain ones, and series by step."""

    values: Mapping[str, float]
    series: Mapping[str, Mapping[int, float]]


def measure(metrics: Iterable[AnyMetric], observation: Observation) -> Numbers:
    """Compute every metric; what is undefined is left out."""
    values: dict[str, float] = {}
    series: dict[str, Mapping[int, float]] = {}
    for metric in metrics:
        if isinstance(metric, Series):
            if steps := metric.compute(observation):
                series[metric.name] = steps
        elif (value := metric.compute(observation)) is not None:
            values[metric.name] = value
    return Numbers(values, series)
