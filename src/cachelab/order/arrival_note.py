"""The note on a log whose times an order does not use."""

from collections.abc import Sequence

from cachelab.order.base import Order
from cachelab.order.by_arrival import ByArrival
from cachelab.order.timed import Timed
from cachelab.tokenized_conversation import TokenizedConversation


def arrival_note(order: Order, conversations: Sequence[TokenizedConversation]) -> str | None:
    """One line if several conversations have recorded times of arrival and the order ignores them.

    A trace that cachelab wrote of a source without times has the turns' numbers instead (trace/base.py): no note.
    """
    times = [turn.timestamp_s for conversation in conversations for turn in conversation.turns]
    if isinstance(order, ByArrival | Timed) or len(conversations) < 2 or None in times or len(set(times)) < 2:
        return None
    if _made(conversations):
        return None
    return (
        "The log has times of arrival, which this order does not use; in the order of arrival the hit rate may be "
        "lower: set order=by_arrival, or order=timed with engine=sim."
    )


def _made(conversations: Sequence[TokenizedConversation]) -> bool:
    """Whether every time is the number of its turn."""
    return all(
        turn.timestamp_s == number for conversation in conversations for number, turn in enumerate(conversation.turns)
    )
