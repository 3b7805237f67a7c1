"""Which blocks were still being computed when another request asked for them."""

import numpy as np
from numba import njit


@njit(cache=True)
def blocks_in_flight(blocks, offsets, prompt_blocks, hits, ideal, scheduled, prefilled, finished):
    """Of the blocks hits[i] .. ideal[i] - 1 of each request, those that no request before it had computed in time.

    A block of a prompt is there when its request has its first token, one of a reply when the request has finished.
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
