"""The same replica for all requests of a conversation."""

import hashlib
from collections.abc import Sequence

from pydantic.dataclasses import dataclass

from cachelab.fleet.router import Choose, View
from cachelab.request import Request
from cachelab.strict_config import STRICT


@dataclass(frozen=True, config=STRICT)
class Sticky:
    """Chooses by a stable hash of the conversation's id (rendezvous hashing, SHA-256).

    When a replica joins or leaves, only the conversations that it gets or had move.
    """

    def begin(self) -> Choose:
        chosen: dict[tuple[str, tuple[int, ...]], int] = {}

        def choose(request: Request, view: View) -> int:
            key = request.conversation_id, tuple(view.open)
            if key not in chosen:
                chosen[key] = _highest(request.conversation_id, view.open)
            return chosen[key]

        return choose


def _highest(conversation: str, replicas: Sequence[int]) -> int:
    return max(replicas, key=lambda replica: hashlib.sha256(f"{replica} {conversation}".encode()).digest())
