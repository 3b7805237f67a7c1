"""One conversation after another."""

from collections.abc import Sequence
from itertools import chain

from pydantic.dataclasses import dataclass

from cachelab.order.conversations import by_conversation
from cachelab.request import Request, Schedule
from cachelab.strict_config import STRICT


@dataclass(frozen=True, config=STRICT)
class ByConversation:
    """One stage with one lane: each conversation from its first turn to its last, one request at a time."""

    def arrange(self, requests: Sequence[Request]) -> Schedule:
        """Conversations in order of first appearance."""
        return Schedule(((tuple(chain.from_iterable(by_conversation(requests))),),))
