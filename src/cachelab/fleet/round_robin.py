"""One replica after another."""

from itertools import count

from pydantic.dataclasses import dataclass

from cachelab.fleet.router import Choose
from cachelab.strict_config import STRICT


@dataclass(frozen=True, config=STRICT)
class RoundRobin:
    """Sends request i to open replica i modulo their number."""

    def begin(self) -> Choose:
        numbers = count()
        return lambda request, view: view.open[next(numbers) % len(view.open)]
