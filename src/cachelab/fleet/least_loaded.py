"""The replica with the fewest tokens in flight."""

from pydantic.dataclasses import dataclass

from cachelab.fleet.router import Choose, load
from cachelab.strict_config import STRICT


@dataclass(frozen=True, config=STRICT)
class LeastLoaded:
    """Chooses the replica with the fewest prompt and reply tokens in flight.

    Of several, the one that was sent the fewest tokens so far, then the one with the lowest number.
    """

    def begin(self) -> Choose:
        return lambda request, view: min(view.open, key=lambda replica: load(view, replica))
