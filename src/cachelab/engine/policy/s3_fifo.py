"""`engine/policy=s3_fifo`: S3-FIFO, leaf first."""

from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from cachelab.engine.policy.base import Kept, Replayed
from cachelab.prefix_cache.retention import leaf_first_hit_blocks
from cachelab.strict_config import STRICT


@dataclass(frozen=True, config=STRICT)
class S3Fifo:
    """Evicts new blocks that are not used again early, from a small queue, and the others from a main queue.

    `small_share` is the share of the cache that the small queue shrinks to. The names of blocks that left it are kept
    as ghosts, `ghost_share` x the blocks of the cache.
    Yang et al., FIFO Queues are All You Need for Cache Eviction, SOSP 2023, with leaves instead of objects.
    """

    small_share: Annotated[float, Field(gt=0, lt=1)] = 0.1
    ghost_share: Annotated[float, Field(ge=0, le=10)] = 0.9

    @property
    def name(self) -> str:
        return "s3_fifo"

    def run(self, replayed: Replayed, num_blocks: int) -> Kept:
        small, ghosts = int(num_blocks * self.small_share), int(num_blocks * self.ghost_share)
        return Kept(leaf_first_hit_blocks(replayed.accesses, num_blocks, "s3_fifo", small, ghosts))
