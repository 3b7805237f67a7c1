"""The hits of a workload in caches that keep blocks by other rules than vLLM's LRU. docs/retention.md defines them."""

from typing import Literal

from cachelab.prefix_cache.accesses import BlockAccesses, Int64s

LeafFirstPolicy = Literal["fifo", "lfu", "arc", "s3_fifo"]
"""The policies of object caches that a prefix cache can have, leaf first."""


def expiring_hit_blocks(accesses: BlockAccesses, num_blocks: int, times_ns: Int64s, ttl_ns: int) -> tuple[Int64s, int]:
    """Hit blocks of each request in an LRU cache of `num_blocks` usable blocks that expire `ttl_ns` after their use.

    The second value is the largest number of usable blocks that held an unexpired block after a request. `times_ns`:
    when each request uses its blocks, in nanoseconds, in ascending order. int64, shape (num_requests,), as the hit
    blocks. By vLLM's rules `num_blocks` must be at least `accesses.most_slots`, here and below.
    """
    from cachelab.prefix_cache.kernels.lru import expiring_hits

    hits: Int64s
    hits, most_held = expiring_hits(*accesses.cache_arguments, num_blocks, times_ns, ttl_ns)
    return hits, int(most_held)


def pinned_hit_blocks(accesses: BlockAccesses, num_blocks: int, wanted: Int64s, most: int) -> tuple[Int64s, int]:
    """Hit blocks of each request in an LRU cache that never evicts pinned blocks, and how many are pinned at the end.

    `wanted`: how many of its first blocks each request pins. int64, shape (num_requests,), as the hit blocks. At most
    `most` blocks are pinned; by vLLM's rules the others must be at least `accesses.most_slots`.
    """
    from cachelab.prefix_cache.kernels.lru import pinned_hits

    hits: Int64s
    hits, num_pinned = pinned_hits(*accesses.cache_arguments, num_blocks, wanted, most)
    return hits, int(num_pinned)


def leaf_first_hit_blocks(
    accesses: BlockAccesses, num_blocks: int, policy: LeafFirstPolicy, small: int = 0, ghosts: int = 0
) -> Int64s:
    """Hit blocks of each request in a cache of `num_blocks` usable blocks that evicts leaves by the policy.

    S3-FIFO only: `small`, the size in blocks that the small queue shrinks to, and `ghosts`, the number of ghosts.
    Shape: (num_requests,).
    """
    from cachelab.prefix_cache.kernels import leaf_first

    codes = {"fifo": leaf_first.FIFO, "lfu": leaf_first.LFU, "arc": leaf_first.ARC, "s3_fifo": leaf_first.S3_FIFO}
    hits: Int64s = leaf_first.leaf_first_hits(*accesses.cache_arguments, num_blocks, codes[policy], small, ghosts)
    return hits
