"""Caches of single objects, without prefixes. Other tools simulate these; published results are compared with them."""

import numpy as np

from cachelab.prefix_cache.kernels.kernel import kernel

_NONE = -1


@kernel
def object_cache(blocks, offsets, num_ids, capacity, by_use):
    """The leading hit blocks of each request in a cache of single blocks.

    All blocks of a request are looked up before the first is inserted. They are inserted from the first to the last.

    Args:
        blocks: int32, shape (num_accesses,). The block ids of all requests, each from 0 to num_ids - 1.
        offsets: int64, shape (num_requests + 1,). Request i has blocks[offsets[i]:offsets[i + 1]].
        num_ids: int. The number of block ids.
        capacity: int. The size of the cache in blocks.
        by_use: bool. True evicts the least recently used block (LRU), False the oldest one (FIFO).

    Returns:
        int64, shape (num_requests,): the hit blocks up to the first miss.
    """
    newer = np.full(num_ids + 1, num_ids, np.int32)
    older = np.full(num_ids + 1, num_ids, np.int32)
    inside = np.zeros(num_ids, np.uint8)
    end = num_ids  # the sentinel of the list: its `newer` is evicted next
    size = 0
    hits = np.zeros(len(offsets) - 1, np.int64)
    for i in range(len(hits)):
        at = offsets[i]
        while at < offsets[i + 1] and inside[blocks[at]]:
            at += 1
        hits[i] = at - offsets[i]
        for k in range(offsets[i], offsets[i + 1]):
            block = blocks[k]
            if inside[block]:
                if not by_use:
                    continue
                newer[older[block]], older[newer[block]] = newer[block], older[block]
            else:
                if size == capacity:
                    first = newer[end]
                    newer[end] = newer[first]
                    older[newer[first]] = end
                    inside[first] = 0
                    size -= 1
                inside[block] = 1
                size += 1
            older[block], newer[block] = older[end], end
            newer[older[end]] = block
            older[end] = block
    return hits
