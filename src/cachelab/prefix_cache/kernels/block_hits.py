"""The hits of each block, and the gaps between them, without one row per hit."""

import numpy as np

from cachelab.prefix_cache.kernels.kernel import kernel


@kernel
def hits_of_blocks(blocks, offsets, hit_blocks, num_ids):
    """How often each block was hit, by which request first and last, and the requests of consecutive hits.

    Args:
        blocks: int32, shape (num_accesses,). The block ids of all requests, each from 0 to num_ids - 1.
        offsets: int64, shape (num_requests + 1,). Request i has blocks[offsets[i]:offsets[i + 1]].
        hit_blocks: int64, shape (num_requests,). How many of its first blocks each request hit.
        num_ids: int. The number of block ids.

    Returns:
        counts: int32, shape (num_ids,). The hits of each block.
        first: int32, shape (num_ids,). The request that hit it first; not initialised for a block without hits.
        last: int32, shape (num_ids,). The request that hit it last; not initialised for a block without hits.
        depths: int32, shape (num_ids,). Its place in the prompt of `first`; not initialised for a block without hits.
        gaps: int64, shape (num_gaps, 3). Rows: a request, a later one, and how many neighbouring blocks the second hit
            whose hit before was that of the first. Two rows can have the same requests.
    """
    counts = np.zeros(num_ids, np.int32)
    first = np.empty(num_ids, np.int32)
    last = np.empty(num_ids, np.int32)
    depths = np.empty(num_ids, np.int32)
    gaps = np.empty((1024, 3), np.int64)
    num_gaps = 0
    for i in range(len(hit_blocks)):
        before = np.int64(-1)  # the request of the last row, if it belongs to this request
        for k in range(hit_blocks[i]):
            block = blocks[offsets[i] + k]
            if counts[block] == 0:
                first[block] = i
                depths[block] = k
            elif last[block] == before:
                gaps[num_gaps - 1, 2] += 1
            else:
                if num_gaps == len(gaps):
                    larger = np.empty((2 * num_gaps, 3), np.int64)
                    larger[:num_gaps] = gaps
                    gaps = larger
                before = last[block]
                gaps[num_gaps, 0], gaps[num_gaps, 1], gaps[num_gaps, 2] = before, i, 1
                num_gaps += 1
            counts[block] += 1
            last[block] = i
    return counts, first, last, depths, gaps[:num_gaps].copy()


@kernel
def groups_of_blocks(blocks, offsets, hit_blocks, num_ids, order, groups):
    """How many different groups of requests hit each block.

    Args:
        blocks: int32, shape (num_accesses,). As in hits_of_blocks.
        offsets: int64, shape (num_requests + 1,). As in hits_of_blocks.
        hit_blocks: int64, shape (num_requests,). As in hits_of_blocks.
        num_ids: int. As in hits_of_blocks.
        order: int64, shape (num_requests,). The requests, those of one group next to each other.
        groups: int64, shape (num_requests,). The group of each request, from 0.

    Returns:
        int32, shape (num_ids,): the number of groups.
    """
    number = np.zeros(num_ids, np.int32)
    latest = np.full(num_ids, -1, np.int32)
    for i in order:
        for k in range(hit_blocks[i]):
            block = blocks[offsets[i] + k]
            if latest[block] != groups[i]:
                latest[block] = groups[i]
                number[block] += 1
    return number
