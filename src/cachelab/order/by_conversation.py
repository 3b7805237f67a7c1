"""One conversation after another."""

from collections.abc import Sequence
from itertools import chain

from pydantic.dataclasses import dataclass

from cachelab.order.conversations import by_conversation
from cachelab.request import Request, Schedule
from cachelab.strict_config import STRICT


@dataclass(frozen=True, config=STRICT)
class ByConversation:
    """One stage with one lane: all turns of a conversation, then those of the next, one request at a time."""

    def arrange(self, requests: Sequence[Request]) -> Schedule:
        """A schedule with the conversations in the order of their first requests."""
        return Schedule(((tuple(chain.from_iterable(by_conversation(requests))),),))
