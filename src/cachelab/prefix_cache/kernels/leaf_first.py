"""Prefix caches of one size with the eviction policies of object caches: FIFO, LFU, ARC and S3-FIFO, leaf first.

A leaf is a block in the cache that no other block in the cache continues. Only leaves are evicted, and none of the
running request. The policies differ in the order of the leaves. docs/retention.md defines them.
"""

from heapq import heappop, heappush

import numpy as np

from cachelab.prefix_cache.kernels.kernel import kernel

FIFO, LFU, ARC, S3_FIFO = range(4)
"""The policies."""

_NONE = -1
_QUEUE, _USES, _PARENT, _CHILDREN, _HELD = range(5)  # rows of `state`
_OUT = -1  # of a block in no queue; the queues are numbered from 0
_FIRST, _SECOND, _FIRST_GHOSTS, _SECOND_GHOSTS = range(4)
_STEP, _HAS_EVICTED = 4, 5  # of `counts`, after the sizes of the four queues
_MOST_USES = 3


@kernel
def leaf_first_hits(blocks, offsets, lookups, tails, num_ids, capacity, policy, small, ghosts):
    """The hit blocks of each request in a cache of `capacity` blocks, one request at a time.

    A request uses all its blocks that are in the cache, then inserts the others, from the first to the last. A block
    that it computes although it is cached takes no second slot. It also holds `tails[i]` slots while it runs, which are
    empty afterwards.

    Each block in the cache is in one of two queues: FIFO and LFU use the first only; ARC's T1 and T2; S3-FIFO's small
    and main queue. Ghosts are the names of evicted blocks: ARC's B1 and B2; S3-FIFO has one queue of them. A queue is a
    heap of (rank, block) with outdated entries: those whose rank is not that of the block, and blocks that are no
    leaves now. Every block that becomes a leaf is added again.

    Args:
        blocks: int32, shape (num_accesses,). The block ids of all requests, each from 0 to num_ids - 1.
        offsets: int64, shape (num_requests + 1,). Request i has blocks[offsets[i]:offsets[i + 1]].
        lookups: int64, shape (num_requests,). How many of its first blocks the request looks up.
        tails: int64, shape (num_requests,). The blank slots that the request holds while it runs.
        num_ids: int. The number of block ids.
        capacity: int. The size of the cache in blocks.
        policy: int. FIFO, LFU, ARC or S3_FIFO.
        small: int. S3-FIFO: the size in blocks that the small queue shrinks to.
        ghosts: int. S3-FIFO: the number of ghosts.

    Returns:
        int64, shape (num_requests,): the hit blocks.
    """
    state = np.zeros((5, num_ids), np.int32)  # by block
    state[_QUEUE] = _OUT
    state[_HELD] = _NONE
    ranks = np.zeros(num_ids, np.int64)  # by block: its place in its queue; the smallest is first
    counts = np.zeros(6, np.int64)
    none = [(np.int64(0), np.int64(0))]
    none.pop()
    heaps = (none, none.copy(), none.copy(), none.copy())
    target = 0.0  # ARC's p: the size that T1 should have
    hits = np.zeros(len(lookups), np.int64)
    for i in range(len(lookups)):
        begin, num_full = offsets[i], offsets[i + 1] - offsets[i]
        held = np.int64(0)
        for k in range(num_full):
            block = blocks[begin + k]
            state[_HELD, block] = i
            if held == k and (state[_QUEUE, block] == _FIRST or state[_QUEUE, block] == _SECOND):
                held += 1
                _use(state, ranks, counts, policy, block, i)
        hits[i] = min(held, lookups[i])
        for k in range(held, num_full):
            block = np.int64(blocks[begin + k])
            queue = state[_QUEUE, block]  # a queue of ghosts, or _OUT
            full = counts[_FIRST] + counts[_SECOND] == capacity
            is_free = not full
            if policy == ARC:
                target, outright = _adapt(state, ranks, counts, heaps, capacity, target, queue, i)
                if full:
                    is_free = _evict_arc(state, ranks, counts, heaps, target, queue == _SECOND_GHOSTS, outright, i)
            else:
                if queue != _OUT:
                    _leave(state, counts, block)
                if full:
                    is_free = _evict(state, ranks, counts, heaps, policy, capacity, small, ghosts, i)
            if not is_free:
                break  # the request alone fills the cache: its remaining blocks are not cached
            fills_main = policy == S3_FIFO and counts[_HAS_EVICTED] == 0 and counts[_FIRST] >= small
            to = _SECOND if queue != _OUT or fills_main else _FIRST
            if state[_QUEUE, block] != _OUT:
                _leave(state, counts, block)
            state[_QUEUE, block] = to
            counts[to] += 1
            state[_USES, block] = 1 if policy == LFU else 0
            ranks[block] = _rank(policy, state[_USES, block], i, counts)
            state[_CHILDREN, block] = 0
            state[_PARENT, block] = blocks[begin + k - 1] if k else _NONE
            if k:
                state[_CHILDREN, blocks[begin + k - 1]] += 1
            held += 1
        for _ in range(tails[i]):
            if counts[_FIRST] + counts[_SECOND] + tails[i] <= capacity:
                break
            if policy == ARC:
                _evict_arc(state, ranks, counts, heaps, target, False, False, i)
            else:
                _evict(state, ranks, counts, heaps, policy, capacity, small, ghosts, i)
        if held and state[_CHILDREN, blocks[begin + held - 1]] == 0:
            leaf = np.int64(blocks[begin + held - 1])
            heappush(heaps[state[_QUEUE, leaf]], (ranks[leaf], leaf))
    return hits


@kernel
def _rank(policy, uses, i, counts):
    """The place in its queue of a block that request i inserts, or uses.

    Args:
        policy: int.
        uses: int. The uses of the block since it was inserted.
        i: int. The number of the request.
        counts: int64, shape (6,). Changed in place.

    Returns:
        int: the smallest one is evicted first.
    """
    if policy == LFU:
        return (np.int64(uses) << 32) + i
    if policy == S3_FIFO:
        counts[_STEP] += 1
        return counts[_STEP]
    return np.int64(i)


@kernel
def _use(state, ranks, counts, policy, block, i):
    """Note that request i uses a block in the cache. The arrays are changed in place.

    Args:
        state: int32, shape (5, num_ids).
        ranks: int64, shape (num_ids,).
        counts: int64, shape (6,).
        policy: int.
        block: int.
        i: int. The number of the request.
    """
    if policy == LFU:
        state[_USES, block] += 1
        ranks[block] = _rank(policy, state[_USES, block], i, counts)
    elif policy == S3_FIFO:
        state[_USES, block] = min(state[_USES, block] + 1, _MOST_USES)
    elif policy == ARC:
        counts[state[_QUEUE, block]] -= 1
        state[_QUEUE, block] = _SECOND
        counts[_SECOND] += 1
        ranks[block] = i


@kernel
def _leave(state, counts, block):
    """Take a block out of its queue. The arrays are changed in place.

    Args:
        state: int32, shape (5, num_ids).
        counts: int64, shape (6,).
        block: int.
    """
    counts[state[_QUEUE, block]] -= 1
    state[_QUEUE, block] = _OUT


@kernel
def _first_of(state, ranks, heaps, queue, i):
    """The first leaf of a queue that request i does not use, or its first ghost; -1 if there is none.

    Outdated entries are removed. A leaf that the request uses is added again when the request ends, if it is one then.

    Args:
        state: int32, shape (5, num_ids).
        ranks: int64, shape (num_ids,).
        heaps: four lists of (int64, int64).
        queue: int.
        i: int. The number of the request.

    Returns:
        int: a block. Its entry stays in the heap.
    """
    heap = heaps[queue]
    while len(heap):
        rank, block = heap[0]
        is_free = queue > _SECOND or (state[_CHILDREN, block] == 0 and state[_HELD, block] != i)
        if state[_QUEUE, block] == queue and ranks[block] == rank and is_free:
            return block
        heappop(heap)
    return np.int64(_NONE)


@kernel
def _drop(state, ranks, counts, heaps, block, ghost_queue, i):
    """Evict a leaf, which is the first of its heap; its parent may become a leaf. The arrays are changed in place.

    Args:
        state: int32, shape (5, num_ids).
        ranks: int64, shape (num_ids,).
        counts: int64, shape (6,).
        heaps: four lists of (int64, int64).
        block: int.
        ghost_queue: int. The queue of ghosts that the block enters, or -1.
        i: int. The number of the request.
    """
    heappop(heaps[state[_QUEUE, block]])
    _leave(state, counts, block)
    counts[_HAS_EVICTED] = 1
    if ghost_queue != _OUT:
        state[_QUEUE, block] = ghost_queue
        counts[ghost_queue] += 1
        counts[_STEP] += 1
        ranks[block] = counts[_STEP]
        heappush(heaps[ghost_queue], (ranks[block], block))
    parent = np.int64(state[_PARENT, block])
    if parent != _NONE:
        state[_CHILDREN, parent] -= 1
        if state[_CHILDREN, parent] == 0 and state[_HELD, parent] != i:
            heappush(heaps[state[_QUEUE, parent]], (ranks[parent], parent))


@kernel
def _evict(state, ranks, counts, heaps, policy, capacity, small, ghosts, i):
    """Evict one block by FIFO, LFU or S3-FIFO. The arrays are changed in place.

    Args:
        state: int32, shape (5, num_ids).
        ranks: int64, shape (num_ids,).
        counts: int64, shape (6,).
        heaps: four lists of (int64, int64).
        policy: int.
        capacity: int. The size of the cache in blocks.
        small: int. As in leaf_first_hits.
        ghosts: int. As in leaf_first_hits.
        i: int. The number of the request.

    Returns:
        bool: whether there was a leaf to evict.
    """
    while True:
        first = _first_of(state, ranks, heaps, _FIRST, i)
        if policy != S3_FIFO:
            if first != _NONE:
                _drop(state, ranks, counts, heaps, first, _OUT, i)
            return first != _NONE
        second = _first_of(state, ranks, heaps, _SECOND, i)
        if first == _NONE and second == _NONE:
            return False
        if first == _NONE or (second != _NONE and counts[_SECOND] > capacity - small):
            while state[_USES, second] > 0:
                state[_USES, second] -= 1
                _requeue(state, ranks, counts, heaps, second)
                second = _first_of(state, ranks, heaps, _SECOND, i)
            _drop(state, ranks, counts, heaps, second, _OUT, i)
            return True
        while first != _NONE:
            if state[_USES, first] > 1:
                state[_USES, first] = 0
                _requeue(state, ranks, counts, heaps, first)
                first = _first_of(state, ranks, heaps, _FIRST, i)
                continue
            if ghosts > 0:
                if counts[_FIRST_GHOSTS] == ghosts:
                    oldest = _first_of(state, ranks, heaps, _FIRST_GHOSTS, i)
                    heappop(heaps[_FIRST_GHOSTS])
                    _leave(state, counts, oldest)
                _drop(state, ranks, counts, heaps, first, _FIRST_GHOSTS, i)
            else:
                _drop(state, ranks, counts, heaps, first, _OUT, i)
            return True


@kernel
def _requeue(state, ranks, counts, heaps, block):
    """S3-FIFO: put a leaf, which is the first of its heap, at the end of the main queue, in place.

    Args:
        state: int32, shape (5, num_ids).
        ranks: int64, shape (num_ids,).
        counts: int64, shape (6,).
        heaps: four lists of (int64, int64).
        block: int.
    """
    heappop(heaps[state[_QUEUE, block]])
    _leave(state, counts, block)
    state[_QUEUE, block] = _SECOND
    counts[_SECOND] += 1
    counts[_STEP] += 1
    ranks[block] = counts[_STEP]
    heappush(heaps[_SECOND], (ranks[block], block))


@kernel
def _adapt(state, ranks, counts, heaps, capacity, target, queue, i):
    """ARC before a block is inserted: move the target, and bound the ghosts. The arrays are changed in place.

    Args:
        state: int32, shape (5, num_ids).
        ranks: int64, shape (num_ids,).
        counts: int64, shape (6,).
        heaps: four lists of (int64, int64).
        capacity: int. The size of the cache in blocks.
        target: float. The size in blocks that T1 should have.
        queue: int. The queue of ghosts that holds the block, or -1.
        i: int. The number of the request.

    Returns:
        float: the new target. bool: whether T1's block is evicted without becoming a ghost.
    """
    first, second = counts[_FIRST_GHOSTS], counts[_SECOND_GHOSTS]
    if queue == _FIRST_GHOSTS:
        return min(target + max(1.0, second / first), np.float64(capacity)), False
    if queue == _SECOND_GHOSTS:
        return max(target - max(1.0, first / second), 0.0), False
    of_ghosts = _OUT
    if counts[_FIRST] + first >= capacity:
        if first == 0:
            return target, True
        of_ghosts = _FIRST_GHOSTS
    elif counts[_FIRST] + counts[_SECOND] + first + second >= 2 * capacity:
        of_ghosts = _SECOND_GHOSTS
    if of_ghosts != _OUT:
        oldest = _first_of(state, ranks, heaps, of_ghosts, i)
        heappop(heaps[of_ghosts])
        _leave(state, counts, oldest)
    return target, False


@kernel
def _evict_arc(state, ranks, counts, heaps, target, of_second, outright, i):
    """ARC: evict one block of T1 or T2. The arrays are changed in place.

    Args:
        state: int32, shape (5, num_ids).
        ranks: int64, shape (num_ids,).
        counts: int64, shape (6,).
        heaps: four lists of (int64, int64).
        target: float. The size in blocks that T1 should have.
        of_second: bool. Whether the block that is inserted is a ghost of T2.
        outright: bool. Whether a block of T1 goes, and becomes no ghost.
        i: int. The number of the request.

    Returns:
        bool: whether there was a leaf to evict.
    """
    first = _first_of(state, ranks, heaps, _FIRST, i)
    second = _first_of(state, ranks, heaps, _SECOND, i)
    size = np.float64(counts[_FIRST])
    wants_first = outright or size > target or (size == target and of_second)
    if first != _NONE and (wants_first or second == _NONE):
        _drop(state, ranks, counts, heaps, first, _OUT if outright else _FIRST_GHOSTS, i)
        return True
    if second != _NONE:
        _drop(state, ranks, counts, heaps, second, _SECOND_GHOSTS, i)
        return True
    return False
