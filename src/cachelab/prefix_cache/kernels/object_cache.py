"""Caches that know no prefixes: what tools for single objects simulate, for comparison with published numbers."""

import numpy as np
from numba import njit

_NONE = -1


@njit(cache=True)
def object_cache(blocks, offsets, num_ids, capacity, by_use):
    """Leading blocks hit of each request in a cache of single blocks, a request's put in first to last.

    With `by_use` a hit makes a block the most recent (least recently used goes first), else blocks go in the order in
    which they came (first in, first out). A request's blocks are all looked up before any is put in.
    """
    newer = np.full(num_ids + 1, num_ids, np.int32)
    older = np.full(num_ids + 1, num_ids, np.int32)
    inside = np.zeros(num_ids, np.uint8)
    end = num_ids  # the sentinel: its `newer` goes next
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
