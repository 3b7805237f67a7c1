"""All requests at once."""

from collections.abc import Sequence

from pydantic.dataclasses import dataclass

from cachelab.order.chains import chains
from cachelab.request import Request, Schedule
from cachelab.strict_config import STRICT


@dataclass(frozen=True, config=STRICT)
class AllAtOnce:
    """One stage with one lane per request; requests that follow one another share a lane.

    Single-turn requests are all submitted at the start. A turn whose prompt contains the previous reply has to wait for
    it: all conversations start at once, and each continues when its reply has arrived.
    """

    def arrange(self, requests: Sequence[Request]) -> Schedule:
        """Lanes in the order of their first requests."""
        return Schedule((tuple(chains(requests)),))
