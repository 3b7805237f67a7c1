"""Turn by turn over all conversations."""

from collections.abc import Sequence

from pydantic.dataclasses import dataclass

from cachelab.request import Request, Schedule
from cachelab.strict_config import STRICT


@dataclass(frozen=True, config=STRICT)
class ByTurn:
    """A stage a turn index: every conversation's turn k is submitted at once when all turns k - 1 have ended."""

    def arrange(self, requests: Sequence[Request]) -> Schedule:
        """Within a stage one lane a request, in the order of the requests."""
        stages: dict[int, list[Request]] = {}
        for request in requests:
            stages.setdefault(request.turn_index, []).append(request)
        return Schedule(tuple(tuple((request,) for request in stages[turn]) for turn in sorted(stages)))
