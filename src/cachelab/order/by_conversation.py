"""One conversation after another."""

from collections.abc import Sequence
from itertools import chain

from pydantic.dataclasses import dataclass

from cachelab.order.conversations import by_conversation
from cachelab.strict_config import PART
from cachelab.request import Request, Schedule


@dataclass(frozen=True, config=PART)
class ByConversation:
    """One stage with one lane: each conversation from its first turn to its last, one request at a time."""

    def arrange(self, requests: Sequence[Request]) -> Schedule:
        """Conversations in order of first appearance."""
        return Schedule(((tuple(chain.from_iterable(by_conversation(requests))),),))
