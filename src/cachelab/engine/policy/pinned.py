"""`engine/policy=pinned`: LRU, and the first blocks of requests stay for ever."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from cachelab.engine.policy.base import Kept, Replayed
from cachelab.errors import ConfigError
from cachelab.prefix_cache.accesses import BlockAccesses, Int64s
from cachelab.prefix_cache.retention import pinned_hit_blocks
from cachelab.request import Request
from cachelab.strict_config import STRICT, Count, Text


@dataclass(frozen=True, config=STRICT)
class Pinned:
    """Never evicts pinned blocks: the first `first_blocks` blocks of each request of `conversations`.

    `first_blocks` None: all blocks of these requests. `conversations` None: all conversations. One of the two must be
    given. Blocks are pinned in the order of their first use, as long as fewer than `max_share` of the usable blocks are
    pinned and the other blocks hold the longest request. Else evicts as LRU does.
    """

    first_blocks: Count | None = None
    conversations: Annotated[list[Text], Field(min_length=1)] | None = None
    max_share: Annotated[float, Field(ge=0, le=1)] = 0.5

    def __post_init__(self) -> None:
        if self.first_blocks is None and self.conversations is None:
            raise ConfigError(
                "engine.policy.first_blocks: nothing says what is pinned: set the number of first blocks, or "
                "engine.policy.conversations=[ID]"
            )

    @property
    def name(self) -> str:
        return "pinned"

    def run(self, replayed: Replayed, num_blocks: int) -> Kept:
        """Run the requests. Raises ConfigError if a conversation is not among them."""
        accesses = replayed.accesses
        most = max(min(int(self.max_share * num_blocks), num_blocks - accesses.most_slots), 0)
        hits, pinned = pinned_hit_blocks(accesses, num_blocks, self._wanted(replayed.requests, accesses), most)
        note = f"{pinned:,} of {num_blocks:,} usable blocks are pinned at the end of the run; at most {most:,} can be."
        return Kept(hits, (note,))

    def _wanted(self, requests: Sequence[Request], accesses: BlockAccesses) -> Int64s:
        """How many of its first blocks each request pins. int64, shape (num_requests,)."""
        wanted: Int64s = np.diff(accesses.offsets)
        if self.first_blocks is not None:
            wanted = np.minimum(wanted, self.first_blocks)
        if self.conversations is None:
            return wanted
        known = {request.conversation_id for request in requests}
        if missing := [name for name in self.conversations if name not in known]:
            raise ConfigError(
                f"engine.policy.conversations: {missing[0]} is no conversation of this run: set ids of "
                f"requests.parquet, such as {min(known, default='none')}"
            )
        chosen = frozenset(self.conversations)
        return np.where([request.conversation_id in chosen for request in requests], wanted, 0)
