"""The protocol of traces, and their result."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from cachelab.message import Message
from cachelab.request import Request
from cachelab.tokenized_conversation import TokenizedConversation, TokenizedTurn
from cachelab.turn import RecordedTurn, StoredTurn, Turn


@dataclass(frozen=True, slots=True)
class TraceRequests:
    """Requests, conversation by conversation and turn by turn, and numbers logged as `trace/<key>`."""

    requests: Sequence[Request]
    numbers: Mapping[str, float]


class Trace(Protocol):
    """Turns conversations into requests. A pure function of its input."""

    def build(self, conversations: Sequence[TokenizedConversation]) -> TraceRequests: ...


def of_tokenized(turn: TokenizedTurn, number: int) -> dict[str, Any]:
    """The fields of a Request that do not depend on its history. `number` is its time if the source has none."""
    return {
        "reply_ids": turn.reply_ids,
        "recorded_reply": turn.source if isinstance(turn.source, StoredTurn) else _reply(turn.turn),
        # Stored turns are those of ShareGPT files, which have no tools.
        "tools": turn.source.tools if isinstance(turn.source, Turn) else (),
        "timestamp_s": float(number) if turn.timestamp_s is None else turn.timestamp_s,
        "arrival_s": turn.timestamp_s,
        "think_s": turn.think_s,
        "usage": turn.usage,
        "isolation": turn.isolation,
        "fields": turn.fields,
    }


def _reply(turn: Turn | RecordedTurn | None) -> Message | None:
    if isinstance(turn, RecordedTurn):
        return Message("assistant", turn.response)
    return turn.reply if turn else None
