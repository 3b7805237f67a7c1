"""Requests grouped by conversation: what every order starts from."""

from collections.abc import Sequence

from cachelab.request import Lane, Request


def by_conversation(requests: Sequence[Request]) -> list[Lane]:
    """The requests of each conversation in turn order; conversations in order of first appearance."""
    conversations: dict[str, list[Request]] = {}
    for request in requests:
        conversations.setdefault(request.conversation_id, []).append(request)
    return [tuple(sorted(turns, key=lambda request: request.turn_index)) for turns in conversations.values()]
