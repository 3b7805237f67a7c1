"""The cache at one size, request by request."""

from cachelab.prefix_cache.accesses import BlockPaths, Int64s


def replay_cache(paths: BlockPaths, num_blocks: int) -> Int64s:
    """Hit blocks of each request in a cache of `num_blocks` usable blocks, by vLLM's least recently used eviction.

    Under vLLM's rules the cache must have room for each request alone. Shape: (num_requests,).
    """
    from cachelab.prefix_cache.kernels.lru import replay

    hits: Int64s = replay(paths.blocks, paths.offsets, paths.lookups, paths.tails, paths.num_ids, num_blocks)
    return hits
