"""All first turns, then all second turns, and so on."""

from collections.abc import Sequence

from pydantic.dataclasses import dataclass

from cachelab.request import Request, Schedule
from cachelab.strict_config import STRICT


@dataclass(frozen=True, config=STRICT)
class ByTurn:
    """One stage per turn index: all turns k are submitted at once when all turns k - 1 have ended."""

    def arrange(self, requests: Sequence[Request]) -> Schedule:
        """A schedule with one lane per request in each stage, in the order of the requests."""
        stages: dict[int, list[Request]] = {}
        for request in requests:
            stages.setdefault(request.turn_index, []).append(request)
        return Schedule(tuple(tuple((request,) for request in stages[turn]) for turn in sorted(stages)))
