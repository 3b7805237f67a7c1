"""The order in which the requests arrived."""

from collections.abc import Sequence

from pydantic.dataclasses import dataclass

from cachelab.request import Request, Schedule
from cachelab.strict_config import STRICT


@dataclass(frozen=True, config=STRICT)
class ByArrival:
    """One stage with one lane: the requests by their recorded times, one at a time.

    A turn that was recorded before the turn that it follows runs right after it. Requests with equal times keep the
    dataset's order.
    """

    def arrange(self, requests: Sequence[Request]) -> Schedule:
        """A schedule of the requests in the order of arrival."""
        place = {request.id: index for index, request in enumerate(requests)}
        key: dict[str, tuple[float, int, int]] = {}
        for request in sorted(requests, key=lambda request: request.turn_index):
            own = (request.timestamp_s, place[request.id])
            before = key.get(request.follows or "", own)[:2]
            key[request.id] = (*max(own, before), request.turn_index)
        lane = sorted(requests, key=lambda request: key[request.id])
        return Schedule(((tuple(lane),),) if lane else ())
