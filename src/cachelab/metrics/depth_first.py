"""The depth-first order: what the engine's cache would hit if requests with a common prefix ran one after another."""

from cachelab.metrics.base import Metric, Ratio
from cachelab.metrics.hit_rate import NO_BLOCK
from cachelab.metrics.observation import Observation, memoize
from cachelab.prefix_cache.accesses import lru_hit_blocks
from cachelab.prefix_cache.depth_first import depth_first_order


@memoize
def depth_first(observation: Observation) -> Ratio:
    """Blocks that an LRU cache of the engine's size hits in this order, of full prompt blocks.

    0 of 0 if no second engine ran (only a comparison of engines needs the number; it costs a sort of all blocks), or
    if full-attention layers cannot hold the longest request, which layers of other kinds could.
    """
    if observation.reference_records is None:
        return Ratio(0, 0)
    accesses = observation.plain_accesses
    if observation.plain_blocks < accesses.most_slots:
        return Ratio(0, 0)
    index = {record.request_id: place for place, record in enumerate(observation.completed)}
    requests = [observation.requests[record.request_id] for record in observation.completed]
    # A request that follows a rejected one can run at any time.
    after = [None if request.follows is None else index.get(request.follows) for request in requests]
    ordered = accesses.reordered(depth_first_order(accesses, after))
    hits = lru_hit_blocks(ordered, observation.plain_blocks)
    return Ratio(int(hits.sum()), int(ordered.prompt_blocks.sum()))


METRICS = (
    Metric(
        "hit_rate/depth_first",
        "ratio",
        "Block hit rate of an LRU cache with as many blocks as the engine has, one request at a time, in depth-first "
        "order of their prefixes; no request before the one that it follows.",
        lambda observation: depth_first(observation).value,
        f"no second engine ran, full-attention layers cannot hold the longest request, or {NO_BLOCK}",
    ),
)
