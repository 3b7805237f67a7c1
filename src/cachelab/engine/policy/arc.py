"""`engine/policy=arc`: the adaptive replacement cache, leaf first."""

from pydantic.dataclasses import dataclass

from cachelab.engine.policy.base import Kept, Replayed
from cachelab.prefix_cache.retention import leaf_first_hit_blocks
from cachelab.strict_config import STRICT


@dataclass(frozen=True, config=STRICT)
class Arc:
    """Keeps blocks that were used once apart from those used more often, and adapts the share of both.

    Megiddo and Modha, ARC: A Self-Tuning, Low Overhead Replacement Cache, FAST 2003, with leaves instead of pages.
    """

    @property
    def name(self) -> str:
        return "arc"

    def run(self, replayed: Replayed, num_blocks: int) -> Kept:
        return Kept(leaf_first_hit_blocks(replayed.accesses, num_blocks, "arc"))
