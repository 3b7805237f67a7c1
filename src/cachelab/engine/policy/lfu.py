"""`engine/policy=lfu`: the leaf with the fewest uses leaves first."""

from pydantic.dataclasses import dataclass

from cachelab.engine.policy.base import Kept, Replayed
from cachelab.prefix_cache.retention import leaf_first_hit_blocks
from cachelab.strict_config import STRICT


@dataclass(frozen=True, config=STRICT)
class Lfu:
    """Evicts the leaf with the fewest uses since it was inserted; of several the least recently used one."""

    @property
    def name(self) -> str:
        return "lfu"

    def run(self, replayed: Replayed, num_blocks: int) -> Kept:
        return Kept(leaf_first_hit_blocks(replayed.accesses, num_blocks, "lfu"))
