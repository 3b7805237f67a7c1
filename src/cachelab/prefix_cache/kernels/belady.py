"""Belady's optimum with bypass: the most blocks that any cache of a size could hit."""

import numpy as np
from numba import njit


@njit(cache=True)
def opt(rows, num_requests, capacity):
    """Blocks hit of each run of reuses (rows of `runs`), when each is kept from its last use to this one or not at all.

    Reuses are taken by the time of their end and, of one request, the shallow blocks first: each takes the slot that
    was given free latest before it starts. `free[t]` counts slots that are free from request t - 1 on.
    """
    free = np.zeros(num_requests + 1, np.int64)
    free[0] = capacity
    at_or_before = np.arange(num_requests + 1)  # towards the latest time with a free slot
    hits = np.zeros(len(rows), np.int64)
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
        hits[row] = length - wanted
        free[request + 1] += length - wanted
    return hits


@njit(cache=True)
def _find(at_or_before, time):
    root = time
    while at_or_before[root] != root:
        root = at_or_before[root]
    while at_or_before[time] != root:
        at_or_before[time], time = root, at_or_before[time]
    return root
