"""Reuse distances of the blocks of a workload, in runs of neighbouring blocks that one earlier request used last."""

import numpy as np

from cachelab.prefix_cache.kernels.kernel import inlined, kernel


@kernel
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


@inlined
def _add(tree, at, amount):
    """Add `amount` (int) at place `at` (int) of a Fenwick tree (int64, shape (num_places + 1,)), in place."""
    at += 1
    while at < len(tree):
        tree[at] += amount
        at += at & -at


@inlined
def _sum_below(tree, at):
    """The sum (int) over all places below `at` (int) of a Fenwick tree (int64, shape (num_places + 1,))."""
    total = np.int64(0)
    while at > 0:
        total += tree[at]
        at -= at & -at
    return total


@kernel
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
