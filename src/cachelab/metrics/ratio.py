"""A share: how much of a whole, with both numbers kept."""

from typing import NamedTuple


class Ratio(NamedTuple):
    """A numerator and its denominator, in one unit."""

    numerator: float
    denominator: float

    @property
    def value(self) -> float | None:
        """The quotient; None where the denominator is 0."""
        return self.numerator / self.denominator if self.denominator else None
