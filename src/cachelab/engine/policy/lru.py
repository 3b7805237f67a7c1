"""`engine/policy=lru`: vLLM's own policy."""

from pydantic.dataclasses import dataclass

from cachelab.engine.policy.base import Kept, Replayed
from cachelab.prefix_cache.accesses import lru_hit_blocks
from cachelab.strict_config import STRICT


@dataclass(frozen=True, config=STRICT)
class Lru:
    """Evicts the least recently used block; of one request the last one first."""

    @property
    def name(self) -> str:
        return "lru"

    def run(self, replayed: Replayed, num_blocks: int) -> Kept:
        return Kept(lru_hit_blocks(replayed.accesses, num_blocks))
