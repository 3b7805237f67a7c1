"""Where each block of a workload was used last, run by run: neighbours that one earlier request used last."""

import numpy as np
from numba import njit


@njit(cache=True)
def known_blocks(blocks, offsets, num_ids):
    """Leading blocks of each request that an earlier request has too."""
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
    at += 1
    while at < len(tree):
        tree[at] += amount
        at += at & -at


@njit(cache=True, inline="always")
def _sum_below(tree, at):
    """The sum over all places below `at`."""
    total = np.int64(0)
    while at > 0:
        total += tree[at]
        at -= at & -at
    return total


@njit(cache=True)
def runs(blocks, offsets, lookups, tails, num_ids):
    """Runs of the blocks that each request looks up and that were used before: (rows, number of copies).

    A row is (request, previous request, distance of the first block, number of blocks); the next block's distance is
    one more. Distance d: the block is in a cache of d blocks and more. A copy is a block that a request computes though
    an earlier one left it; with none of them the distances are exact for every size.

    A request's blocks that no later one has used are the deepest of its path, since a use of a block is one of its
    ancestors too: a tree over requests that counts these suffices.
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
        # The request before held its blank slot while it ran: what it pushed out by that is gone.
        held = tails[i - 1] if i else 0
        at = begin
        while at < end:
            previous = last[blocks[at]]
            last[blocks[at]] = i
            if previous < 0 and at < looked_up:
                looked_up = at  # a block never used before ends what can be found
            length = 1
            if previous >= 0:
                stop = looked_up if at < looked_up else end
                while at + length < stop and last[blocks[at + length]] == previous:
                    last[blocks[at + length]] = i
                    length += 1
                # The blocks of this path that are taken already were more recent, and still are.
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
def runs_between(blocks, offsets, lookups, tails, num_ids, low, high):
    """The same with copies, exact for sizes from `low` up to but not including `high`: (rows, where to split).

    A block may lie in the cache more than once; of the copies that are there, the one longest there is used and the
    others grow old. Where that depends on the size, the answer is the size at which to split instead (0: nowhere).
    """
    total = offsets[-1]
    tree = np.zeros(total + 1, np.int64)
    # copies of a block, longest there first; a copy's place in the line of use is its node's
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
                else:  # gone at every size in question
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
