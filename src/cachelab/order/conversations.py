"""Groups requests by conversation."""

from collections.abc import Sequence

from cachelab.request import Lane, Request


def by_conversation(requests: Sequence[Request]) -> list[Lane]:
    """The requests of each conversation in the order of turns; conversations in the order of their first requests."""
    conversations: dict[str, list[Request]] = {}
    for request in requests:
        conversations.setdefault(request.conversation_id, []).append(request)
    return [tuple(sorted(turns, key=lambda request: request.turn_index)) for turns in conversations.values()]
