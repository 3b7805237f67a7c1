"""Belady's optimum with bypass: the most blocks that a cache of a given size can hit."""

import numpy as np

from cachelab.prefix_cache.kernels.kernel import kernel


@kernel
def optimal_hits(rows, num_requests, capacity):
    """The hit blocks of each request under Belady's optimum.

    A block is kept from one use to the next or not at all, and a slot of the cache keeps one block at a time. Reuses
    are handled in the order of their ends, those of one request from the first block to the last. Each takes the slot
    that became free last before the reuse starts.

    Args:
        rows: int64, shape (num_runs, 4). The rows that reuse_runs returns.
        num_requests: int. The number of requests.
        capacity: int. The size of the cache in blocks.

    Returns:
        int64, shape (num_requests,): the hit blocks.
    """
    # free[t]: the number of slots that are free from request t - 1 on
    free = np.zeros(num_requests + 1, np.int64)
    free[0] = capacity
    at_or_before = np.arange(num_requests + 1)  # a union-find forest: its roots are times with a free slot
    hits = np.zeros(num_requests, np.int64)
    done = 0  # requests whose slots are counted in `free`
    for row in range(len(rows)):
        request, previous, length = rows[row, 0], rows[row, 1], rows[row, 3]
        while done < request:
            done += 1
            if free[done] == 0:
                at_or_before[done] = done - 1
        wanted = length
        time = _find(at_or_before, previous + 1)
        while wanted and free[time]:
            taken = min(wanted, free[time])
            free[time] -= taken
            wanted -= taken
            if free[time] == 0 and time > 0:
                at_or_before[time] = time - 1
                time = _find(at_or_before, time)
        hits[request] += length - wanted
        free[request + 1] += length - wanted
    return hits


@kernel
def _find(at_or_before, time):
    """The latest time with a free slot that is not after `time`; 0 if there is none.

    Args:
        at_or_before: int64, shape (num_requests + 1,). The forest; its paths are shortened in place.
        time: int. An index into it.

    Returns:
        int: the root of `time`.
    """
    root = time
    while at_or_before[root] != root:
        root = at_or_before[root]
    while at_or_before[time] != root:
        at_or_before[time], time = root, at_or_before[time]
    return root
