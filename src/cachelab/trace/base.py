"""What every trace gives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from cachelab.conversation import TokenizedConversation
from cachelab.request import Request


@dataclass(frozen=True, slots=True)
class TraceRequests:
    """Requests, conversation by conversation and turn by turn, and numbers logged as `trace/<key>`."""

    requests: Sequence[Request]
    numbers: Mapping[str, float]


class Trace(Protocol):
    """Makes requests of conversations; a pure function of its input."""

    def build(self, conversations: Sequence[TokenizedConversation]) -> TraceRequests: ...
