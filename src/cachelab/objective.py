"""The result of a job for a sweeper: its objectives, and how far it violates the constraints."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cachelab.bound import Bound
from cachelab.errors import ConfigError

CONSTRAINTS = "objective_constraints"


@dataclass(frozen=True)
class Outcome:
    """The result of a job apart from its objectives.

    `violations` maps each constraint to the distance from its bound, in the metric's unit (0 or less: satisfied).
    `untracked` is the reason why the store does not hold the job (None: it does). `reused`: the numbers are those of an
    earlier run of the same job. `nothing_kept` is the reason why the filter left no request (None: it left some). Such
    a job is infeasible, and its objectives that were not measured are NaN. `data_digest` identifies what the job read.
    """

    run_id: str | None = None
    violations: Mapping[str, float] = field(default_factory=dict)
    untracked: str | None = None
    reused: bool = False
    nothing_kept: str | None = None
    data_digest: str | None = None

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


def violations(constraints: Mapping[str, str], values: Mapping[str, float]) -> dict[str, float]:
    """The distance of the run from the bound of each constraint, in the metric's unit; 0 or less: satisfied.

    Raises ConfigError for a metric that this run does not have, and for a constraint that is not a bound.
    """
    bounds = constraints_of(constraints)
    return {name: bound.distance(_value(name, values, CONSTRAINTS)) for name, bound in bounds.items()}


def constraints_of(constraints: Mapping[str, str]) -> dict[str, Bound]:
    """The bound of each metric. Raises ConfigError for a text that is not a bound."""
    return {name: Bound.of(text, f"{CONSTRAINTS}.{name}") for name, text in constraints.items()}


def _value(name: str, values: Mapping[str, float], setting: str) -> float:
    if name not in values:
        raise ConfigError(
            f"{setting}: this run has no metric {name} (undefined here, or misspelt: see docs/metrics.md)"
        )
    return values[name]
