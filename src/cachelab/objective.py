"""The result of a job for a sweeper: its objectives, and how far it violates the constraints."""

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from cachelab.errors import ConfigError
from cachelab.metrics.base import AnyMetric

_CONSTRAINT = re.compile(r"\s*(>=|<=)\s*([-+]?[0-9.]+(?:[eE][-+]?\d+)?)\s*")


@dataclass(frozen=True)
class Outcome:
    """The result of a job apart from its objectives.

    `violations` maps each constraint to the distance from its bound, in the metric's unit (0 or less: satisfied).
    `untracked` is the reason why the store does not hold the job (None: it does). `reused`: the numbers are those of an
    earlier run of the same job. `nothing_kept` is the reason why the filter left no request (None: it left some). Such
    a job is infeasible, and its objectives that were not measured are NaN.
    """

    run_id: str | None = None
    violations: Mapping[str, float] = field(default_factory=dict)
    untracked: str | None = None
    reused: bool = False
    nothing_kept: str | None = None

    @property
    def feasible(self) -> bool:
        return self.nothing_kept is None and all(violation <= 0 for violation in self.violations.values())


class Score(float):
    """One objective: a number, for any Hydra sweeper."""

    outcome: Outcome


class Scores(tuple[float, ...]):
    """Several objectives: a tuple of numbers, for any Hydra sweeper."""

    outcome: Outcome


def score(names: Sequence[str], values: Mapping[str, float], outcome: Outcome) -> Score | Scores:
    """The values of the named metrics, in order. Raises ConfigError for a metric that this run does not have."""
    chosen = [_value(name, values, "objective") for name in names]
    found = Score(chosen[0]) if len(chosen) == 1 else Scores(chosen)
    found.outcome = outcome
    return found


def score_of_nothing(names: Sequence[str], values: Mapping[str, float], outcome: Outcome) -> Score | Scores:
    """The objectives of a job whose filter keeps nothing: NaN, except for counts of the dataset and the filter."""
    return score(names, {name: values.get(name, math.nan) for name in names}, outcome)


def defined(names: Sequence[str], values: Mapping[str, float]) -> list[str]:
    """The names for which this run has a value."""
    return [name for name in names if name in values]


def known_objectives(names: Sequence[str], metrics: Sequence[AnyMetric], numbers: Collection[str]) -> None:
    """Check the names before the run. Raises ConfigError for one that is neither a metric nor among the numbers."""
    known = {metric.name for metric in metrics} | set(numbers)
    if unknown := next((name for name in names if name not in known), None):
        raise ConfigError(f"objective: there is no metric {unknown}: see docs/metrics.md")


def violations(constraints: Mapping[str, str], values: Mapping[str, float]) -> dict[str, float]:
    """The distance of the run from the bound of each constraint, in the metric's unit; 0 or less: satisfied.

    Raises ConfigError for a metric that this run does not have, and for a constraint that is not a bound.
    """
    found = {}
    for name, constraint in constraints.items():
        sign, bound = bound_of(name, constraint)
        value = _value(name, values, "objective_constraints")
        found[name] = bound - value if sign == ">=" else value - bound
    return found


def bound_of(name: str, constraint: str) -> tuple[str, float]:
    """The sign and the number of ">= 50". Raises ConfigError."""
    parsed = _CONSTRAINT.fullmatch(constraint)
    if parsed is None:
        raise ConfigError(f'objective_constraints.{name}: {constraint!r} is not a bound: write ">= 50" or "<= 0.5"')
    return parsed[1], float(parsed[2])


def _value(name: str, values: Mapping[str, float], setting: str) -> float:
    if name not in values:
        raise ConfigError(
            f"{setting}: this run has no metric {name} (undefined here, or misspelt: see docs/metrics.md)"
        )
    return values[name]
