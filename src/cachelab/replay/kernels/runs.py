"""Where each block of a workload was used last."""

import numpy as np
from numba import njit


@njit(cache=True)
def known_blocks(blocks, offsets, num_ids):
    """Leading blocks of each request that an earlier request has too."""
    seen = np.zeros(num_ids, np.uint8)
    known = np.zeros(len(offsets) - 1, np.int64)
    for i in range(len(known)):
        for j in range(offsets[i], offsets[i + 1]):
            if not seen[blocks[j]]:
                break
            known[i] += 1
        for j in range(offsets[i] + known[i], offsets[i + 1]):
            seen[blocks[j]] = 1
    return known
