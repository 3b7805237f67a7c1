"""LRU prefix caches of one size, in which unused blocks expire or the first blocks of requests are pinned.

Both serve each request as `lru.serve` does. If no block expires or is pinned, their hits are those of `lru_hits`.
"""

import numpy as np
from numba import njit

from cachelab.prefix_cache.kernels.lru import _BLANK, _HOLDS, _NEWER, _NEXT_COPY, _OLDER, _forget, empty_caches, serve

_NONE = -1


@njit(cache=True)
def expiring_hits(blocks, offsets, lookups, tails, num_ids, capacity, times_ns, ttl_ns):
    """The hit blocks of each request in a cache whose blocks expire `ttl_ns` after their last use.

    A block that was last used at time u cannot be hit at u + ttl_ns or later. Its slot is then blank. The least
    recently used blocks expire first, so the order of evictions stays that of LRU.

    Args:
        blocks: int32, shape (num_accesses,). The block ids of all requests, each from 0 to num_ids - 1.
        offsets: int64, shape (num_requests + 1,). Request i has blocks[offsets[i]:offsets[i + 1]].
        lookups: int64, shape (num_requests,). How many of its first blocks the request looks up.
        tails: int64, shape (num_requests,). The blank slots that the request holds while it runs.
        num_ids: int. The number of block ids.
        capacity: int. The size of the cache in blocks.
        times_ns: int64, shape (num_requests,). When each request uses its blocks, in ascending order.
        ttl_ns: int. Nanoseconds, at least 1.

    Returns:
        hits: int64, shape (num_requests,). The hit blocks.
        most_held: int. The most slots that held a block after a request.
    """
    slots, places, counts = empty_caches(1, offsets, tails, num_ids, capacity)
    holds, newer, older, next_copy = slots[0, _HOLDS], slots[0, _NEWER], slots[0, _OLDER], slots[0, _NEXT_COPY]
    room = len(holds) - 1
    used_ns = np.zeros(room, np.int64)  # by slot
    hits = np.zeros(len(lookups), np.int64)
    most_held = np.int64(0)
    no_evictor = np.empty(0, np.int32)
    for i in range(len(lookups)):
        slot = newer[room]
        while slot != room and times_ns[i] - used_ns[slot] >= ttl_ns:
            newer[room] = newer[slot]
            older[newer[slot]] = room
            _forget(slot, holds, places[0, 0], places[0, 1], next_copy)
            slots[0, _BLANK, counts[0, 0]] = slot
            counts[0, 0] += 1
            slot = newer[room]
        hits[i] = serve(slots, places, counts, 0, blocks, offsets, lookups, tails, i, no_evictor)
        slot = older[room]  # the request's blocks are the most recently used ones
        for _ in range(offsets[i + 1] - offsets[i]):
            if slot == room:
                break
            used_ns[slot] = times_ns[i]
            slot = older[slot]
        most_held = max(most_held, counts[0, 1] - counts[0, 0])
    return hits, most_held


@njit(cache=True)
def pinned_hits(blocks, offsets, lookups, tails, num_ids, capacity, wanted, most):
    """The hit blocks of each request in a cache that never evicts the pinned blocks.

    After each request its first `wanted[i]` blocks are pinned, from the first on, as long as fewer than `most` blocks
    are pinned. Of a block with several copies, the one that lookups find is pinned.

    Args:
        blocks: int32, shape (num_accesses,). The block ids of all requests, each from 0 to num_ids - 1.
        offsets: int64, shape (num_requests + 1,). Request i has blocks[offsets[i]:offsets[i + 1]].
        lookups: int64, shape (num_requests,). How many of its first blocks the request looks up.
        tails: int64, shape (num_requests,). The blank slots that the request holds while it runs.
        num_ids: int. The number of block ids.
        capacity: int. The size of the cache in blocks.
        wanted: int64, shape (num_requests,). How many of its first blocks are pinned.
        most: int. The most blocks that are pinned.

    Returns:
        hits: int64, shape (num_requests,). The hit blocks.
        num_pinned: int. The blocks that are pinned at the end.
    """
    slots, places, counts = empty_caches(1, offsets, tails, num_ids, capacity)
    holds, newer, older = slots[0, _HOLDS], slots[0, _NEWER], slots[0, _OLDER]
    room = len(holds) - 1
    is_pinned = np.zeros(num_ids, np.uint8)
    num_pinned = np.int64(0)
    hits = np.zeros(len(lookups), np.int64)
    no_evictor = np.empty(0, np.int32)
    for i in range(len(lookups)):
        hits[i] = serve(slots, places, counts, 0, blocks, offsets, lookups, tails, i, no_evictor)
        slot = older[room]  # the request's blocks are the most recently used ones, its first block most of all
        for k in range(offsets[i + 1] - offsets[i]):
            if slot == room:
                break
            after = older[slot]
            block = holds[slot]
            if not is_pinned[block] and k < wanted[i] and num_pinned < most:
                is_pinned[block] = 1
                num_pinned += 1
            found = places[0, 0, block]
            if is_pinned[block] and newer[found] != found:
                newer[older[found]], older[newer[found]] = newer[found], older[found]
                # A list of its own, so that `serve` can unlink it when the block is used again.
                newer[found], older[found] = found, found
            slot = after
    return hits, num_pinned
