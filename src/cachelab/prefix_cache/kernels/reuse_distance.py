"""Reuse distances of the blocks of a workload, in runs of neighbouring blocks that one earlier request used last."""

import numpy as np
from numba import njit


@njit(cache=True)
def known_blocks(blocks, offsets, num_ids):
    """The leading blocks of each request that earlier requests also have.

    Args:
        blocks: int32, shape (num_accesses,). The block ids of all requests, each from 0 to num_ids - 1.
        offsets: int64, shape (num_requests + 1,). Request i has blocks[offsets[i]:offsets[i + 1]].
        num_ids: int. The number of block ids.

    Returns:
        int64, shape (num_requests,): the blocks up to the first unknown one.
    """
    seen = np.zeros(num_ids, np.uint8)
    known = np.zeros(len(offsets) - 1, np.int64)
    for i in range(len(known)):
        j = offsets[i]
        while j < offsets[i + 1] and seen[blocks[j]]:
            j += 1
        known[i] = j - offsets[i]
        for k in range(j, offsets[i + 1]):
            seen[blocks[k]] = 1
    return known


@njit(cache=True, inline="always")
def _add(tree, at, amount):
    """Add `amount` (int) at place `at` (int) of a Fenwick tree (int64, shape (num_places + 1,)), in place."""
    at += 1
    while at < len(tree):
        tree[at] += amount
        at += at & -at


@njit(cache=True, inline="always")
def _sum_below(tree, at):
    """The sum (int) over all places below `at` (int) of a Fenwick tree (int64, shape (num_places + 1,))."""
    total = np.int64(0)
    while at > 0:
        total += tree[at]
        at -= at & -at
    return total


@njit(cache=True)
def reuse_runs(blocks, offsets, lookups, tails, num_ids):
    """The reuse runs of a workload: neighbouring blocks that a request looks up and one earlier request used last.

    Using a block also uses its ancestors. The blocks of a request that no later request has used are therefore the last
    ones of its prompt and reply, and one Fenwick tree over the requests that counts these blocks gives all distances.

    Args:
        blocks: int32, shape (num_accesses,). The block ids of all requests, each from 0 to num_ids - 1.
        offsets: int64, shape (num_requests + 1,). Request i has blocks[offsets[i]:offsets[i + 1]].
        lookups: int64, shape (num_requests,). How many of its first blocks the request looks up.
        tails: int64, shape (num_requests,). The blank slots that the request holds while it runs.
        num_ids: int. The number of block ids.

    Returns:
        rows: int64, shape (num_runs, 4). One row per run: the request, the request that used the blocks last, the reuse
            distance of the first block, the number of blocks. Each further block's distance is one more. A block with
            distance d is hit in every cache of d or more blocks.
        copies: int. The blocks that were computed although an earlier request had left them. The distances are exact
            for every cache size only if this is 0.
    """
    num_requests = len(lookups)
    tree = np.zeros(num_requests + 1, np.int64)
    last = np.full(num_ids, -1, np.int32)
    rows = np.empty((1024, 4), np.int64)
    num_rows = 0
    copies = 0
    active = np.int64(0)
    for i in range(num_requests):
        begin, end = offsets[i], offsets[i + 1]
        looked_up = begin + lookups[i]
        # The blank slot that the previous request held while it ran also displaced a block.
        held = tails[i - 1] if i else 0
        at = begin
        while at < end:
            previous = last[blocks[at]]
            last[blocks[at]] = i
            if previous < 0 and at < looked_up:
                looked_up = at  # nothing is hit after a block that was never used
            length = 1
            if previous >= 0:
                stop = looked_up if at < looked_up else end
                while at + length < stop and last[blocks[at + length]] == previous:
                    last[blocks[at + length]] = i
                    length += 1
                # The preceding blocks of this request are more recent: they count as well.
                above = active - _sum_below(tree, previous + 1) + (at - begin)
                if at < looked_up:
                    if num_rows == len(rows):
                        larger = np.empty((2 * num_rows, 4), np.int64)
                        larger[:num_rows] = rows
                        rows = larger
                    rows[num_rows, 0] = i
                    rows[num_rows, 1] = previous
                    rows[num_rows, 2] = above + 1 + held
                    rows[num_rows, 3] = length
                    num_rows += 1
                else:
                    copies += length
                _add(tree, previous, -length)
                active -= length
            at += length
        _add(tree, i, end - begin)
        active += end - begin
    return rows[:num_rows].copy(), copies


@njit(cache=True)
def reuse_runs_between(blocks, offsets, lookups, tails, num_ids, low, high):
    """The reuse runs of a workload with copies of blocks, exact for cache sizes from `low` to `high` - 1.

    A cache can hold several copies of a block. A lookup uses the oldest copy in the cache; the others age. Where the
    copy depends on the size within the range, no runs are returned but a size at which to split the range.

    Args:
        blocks: int32, shape (num_accesses,). The block ids of all requests, each from 0 to num_ids - 1.
        offsets: int64, shape (num_requests + 1,). Request i has blocks[offsets[i]:offsets[i + 1]].
        lookups: int64, shape (num_requests,). How many of its first blocks the request looks up.
        tails: int64, shape (num_requests,). The blank slots that the request holds while it runs.
        num_ids: int. The number of block ids.
        low: int. The smallest cache size of the range, in blocks.
        high: int. The end of the range, in blocks; not part of it.

    Returns:
        rows: int64, shape (num_runs, 4). As in reuse_runs, one block per row and without the previous request (-1).
            Shape (0, 4) if the range must be split.
        split: int. The size at which to split the range; 0 if the rows hold for all of it.
    """
    total = offsets[-1]
    tree = np.zeros(total + 1, np.int64)
    # the copies of each block, the oldest first; place[node] is when the copy was last used
    first = np.full(num_ids, -1, np.int64)
    final = np.full(num_ids, -1, np.int64)
    following = np.full(total, -1, np.int64)
    place = np.empty(total, np.int64)
    num_nodes = 0
    active = np.int64(0)
    rows = np.empty((total, 4), np.int64)
    num_rows = 0
    chosen = np.empty(total + 1, np.int64)
    for i in range(len(lookups)):
        begin, end = offsets[i], offsets[i + 1]
        held = tails[i - 1] if i else 0
        num_chosen = 0
        while num_chosen < lookups[i] and first[blocks[begin + num_chosen]] >= 0:
            block = blocks[begin + num_chosen]
            nearest = np.int64(-1)
            node = first[block]
            while node >= 0:
                distance = active - _sum_below(tree, place[node]) + held
                nearest = distance if nearest < 0 else min(nearest, distance)
                node = following[node]
            pick = np.int64(-1)
            before = np.int64(-1)
            node = first[block]
            while node >= 0 and pick < 0:
                distance = active - _sum_below(tree, place[node]) + held
                if distance <= low or distance == nearest:
                    pick = node
                elif distance < high:
                    return rows[:0].copy(), distance
                else:  # evicted at every size of the range
                    _add(tree, place[node], -1)
                    active -= 1
                    if before < 0:
                        first[block] = following[node]
                    else:
                        following[before] = following[node]
                    if final[block] == node:
                        final[block] = before
                node = following[node]
            rows[num_rows, 0] = i
            rows[num_rows, 1] = -1
            rows[num_rows, 2] = nearest
            rows[num_rows, 3] = 1
            num_rows += 1
            chosen[num_chosen] = pick
            num_chosen += 1
        for k in range(end - begin):
            if k < num_chosen:
                node = chosen[k]
                _add(tree, place[node], -1)
                active -= 1
            else:
                block = blocks[begin + k]
                node = num_nodes
                num_nodes += 1
                if first[block] < 0:
                    first[block] = node
                else:
                    following[final[block]] = node
                final[block] = node
            place[node] = end - 1 - k
            _add(tree, place[node], 1)
            active += 1
    return rows[:num_rows].copy(), np.int64(0)
