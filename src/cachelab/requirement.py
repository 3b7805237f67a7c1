"""The gate of a run: the bounds of `require`, and those that a run does not meet."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cachelab.bound import Bound

SETTING = "require"


@dataclass(frozen=True, slots=True)
class Unmet:
    """A bound that a run does not meet. `value` is None if the run has no such metric; `reason` says why."""

    metric: str
    bound: Bound
    value: float | None
    reason: str = ""

    def __str__(self) -> str:
        """One line: the metric, its value and the bound."""
        found = f"is absent ({self.reason})" if self.value is None else f"is {self._digits()}"
        return f"{SETTING}: {self.metric} {found}, required {self.bound}"

    def _digits(self) -> str:
        """The value with four significant digits, or with more if these would meet the bound."""
        assert self.value is not None
        texts = (f"{self.value:.{digits}g}" for digits in range(4, 18))
        return next((text for text in texts if self.bound.distance(float(text)) > 0), repr(self.value))


def bounds_of(require: Mapping[str, str]) -> dict[str, Bound]:
    """The bound of each metric. Raises ConfigError for a text that is not a bound."""
    return {name: Bound.of(text, f"{SETTING}.{name}") for name, text in require.items()}


def required(parameters: Mapping[str, str]) -> dict[str, str]:
    """The bounds of `require` among the parameters of a run: metric -> bound."""
    start = f"{SETTING}."
    return {key.removeprefix(start): text for key, text in parameters.items() if key.startswith(start)}


def unmet(
    require: Mapping[str, str], values: Mapping[str, float], why_absent: Callable[[str], str]
) -> tuple[Unmet, ...]:
    """The bounds that the values do not meet, in the order of `require`. A metric without a value meets no bound."""
    found: list[Unmet] = []
    for name, bound in bounds_of(require).items():
        value = values.get(name)
        if value is None:
            found.append(Unmet(name, bound, None, why_absent(name)))
        elif not bound.distance(value) <= 0:
            found.append(Unmet(name, bound, value))
    return tuple(found)


def tags_of(unmet: Sequence[Unmet]) -> dict[str, str]:
    """The tags of a run that was checked: whether it meets every bound, and the lines of those that it does not."""
    met = {"cachelab.requirements_met": str(not unmet).lower()}
    return met | ({"cachelab.unmet": "; ".join(map(str, unmet))} if unmet else {})
