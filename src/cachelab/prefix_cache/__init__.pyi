from .accesses import BlockAccesses, CountingRules
from .block_ids import BlockIds, RequestBlocks, number_blocks
from .hit_rate_curve import LruCurve, opt_hit_blocks

__all__ = [
    "BlockAccesses",
    "BlockIds",
    "CountingRules",
    "LruCurve",
    "RequestBlocks",
    "number_blocks",
    "opt_hit_blocks",
]
