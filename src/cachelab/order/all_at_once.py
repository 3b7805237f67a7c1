"""Everything at once."""

from collections.abc import Sequence

from pydantic.dataclasses import dataclass

from cachelab.request import Request, Schedule
from cachelab.strict_config import STRICT


@dataclass(frozen=True, config=STRICT)
class AllAtOnce:
    """One stage with a lane a request; requests that follow one another share a lane.

    Single-turn requests are thus all submitted at the start. A turn whose prompt holds the reply to the turn before
    cannot be: there every conversation starts at once, and goes on as its replies arrive.
    """

    def arrange(self, requests: Sequence[Request]) -> Schedule:
        """Lanes in the order of their first requests."""
        lanes: dict[str, list[Request]] = {}
        lane_of: dict[str, str] = {}
        for request in sorted(requests, key=lambda request: request.turn_index):
            lane_of[request.id] = lane_of.get(request.follows or "", request.id)
            lanes.setdefault(lane_of[request.id], []).append(request)
        first_seen = [request.id for request in requests if request.id in lanes]
        return Schedule((tuple(tuple(lanes[first]) for first in first_seen),))
