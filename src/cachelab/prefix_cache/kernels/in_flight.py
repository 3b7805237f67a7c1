"""Counts the blocks that were still being computed when another request looked them up."""

import numpy as np

from cachelab.prefix_cache.kernels.kernel import kernel


@kernel
def blocks_in_flight(blocks, offsets, prompt_blocks, hits, ideal, scheduled, prefilled, finished):
    """The blocks of each request that no earlier request had computed when it was first scheduled.

    A block of a prompt is available when its request has its first token, a block of a reply when its request has
    finished.

    Args:
        blocks: int32, shape (num_accesses,). The block ids of all requests.
        offsets: int64, shape (num_requests + 1,). Request i has blocks[offsets[i]:offsets[i + 1]].
        prompt_blocks: int64, shape (num_requests,). How many of them belong to the prompt.
        hits: int64, shape (num_requests,). The blocks that the request hit.
        ideal: int64, shape (num_requests,). The blocks that it hits in an unlimited cache.
        scheduled: int64, shape (num_requests,). When it was first scheduled, in nanoseconds.
        prefilled: int64, shape (num_requests,). When it had its first token, in nanoseconds.
        finished: int64, shape (num_requests,). When it finished, in nanoseconds.

    Returns:
        int64, shape (num_requests,): of the blocks hits[i] to ideal[i] - 1 the number that was not available in time.
    """
    never = np.iinfo(np.int64).max
    available = np.full(blocks.max() + 1 if len(blocks) else 1, never, np.int64)
    late = np.zeros(len(hits), np.int64)
    for i in range(len(hits)):
        for k in range(hits[i], ideal[i]):
            late[i] += available[blocks[offsets[i] + k]] > scheduled[i]
        for k in range(offsets[i + 1] - offsets[i]):
            block = blocks[offsets[i] + k]
            time = prefilled[i] if k < prompt_blocks[i] else finished[i]
            available[block] = min(available[block], time)
    return late
