"""A bound of a metric, as the settings write it: ">= 50" or "<= 0.5"."""

import re
from dataclasses import dataclass
from typing import Literal, Self, cast

from cachelab.errors import ConfigError

_BOUND = re.compile(r"\s*(>=|<=)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Bound:
    """The least (">=") or the largest ("<=") value that a metric may have, in the metric's unit."""

    sign: Literal[">=", "<="]
    value: float

    @classmethod
    def of(cls, text: str, key: str) -> Self:
        """The bound that the text states; `key` is the setting that holds it. Raises ConfigError."""
        parsed = _BOUND.fullmatch(text)
        if parsed is None:
            raise ConfigError(f'{key}: {text!r} is not a bound: write ">= 50" or "<= 0.5"')
        return cls(cast(Literal[">=", "<="], parsed[1]), float(parsed[2]))

    def distance(self, value: float) -> float:
        """How far the value is beyond the bound, in the metric's unit; 0 or less: it is within the bound."""
        return self.value - value if self.sign == ">=" else value - self.value

    def __str__(self) -> str:
        return f"{self.sign} {self.value:.12g}"
