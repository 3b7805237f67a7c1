from .accesses import BlockAccesses, CountingRules
from .block_ids import BlockIds
from .hit_rate_curve import LruCurve, opt_hit_blocks
from .request_blocks import RequestBlocks, number_blocks

__all__ = [
    "BlockAccesses",
    "BlockIds",
    "CountingRules",
    "LruCurve",
    "RequestBlocks",
    "number_blocks",
    "opt_hit_blocks",
]
