"""`engine/policy=fifo`: the oldest leaf leaves first."""

from pydantic.dataclasses import dataclass

from cachelab.engine.policy.base import Kept, Replayed
from cachelab.prefix_cache.retention import leaf_first_hit_blocks
from cachelab.strict_config import STRICT


@dataclass(frozen=True, config=STRICT)
class Fifo:
    """Evicts the leaf that was inserted first. A use does not change the order."""

    @property
    def name(self) -> str:
        return "fifo"

    def run(self, replayed: Replayed, num_blocks: int) -> Kept:
        return Kept(leaf_first_hit_blocks(replayed.accesses, num_blocks, "fifo"))
