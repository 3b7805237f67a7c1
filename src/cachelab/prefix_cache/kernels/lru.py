"""LRU prefix caches of one size, block by block, with the rules of vLLM's block pool; blocks can expire or be pinned.

All loops that call one another are in this file: numba's cache on disk does not notice a change in another file.
"""

import numpy as np

from cachelab.prefix_cache.kernels.kernel import kernel

_NONE = -1
_HOLDS, _NEWER, _OLDER, _NEXT_COPY, _BLANK, _HELD = range(6)


@kernel
def lru_hits(blocks, offsets, lookups, tails, num_ids, capacity, evictors):
    """The hit blocks of each request in a cache of `capacity` blocks, one request at a time.

    Args:
        blocks: int32, shape (num_accesses,). The block ids of all requests, each from 0 to num_ids - 1.
        offsets: int64, shape (num_requests + 1,). Request i has blocks[offsets[i]:offsets[i + 1]].
        lookups: int64, shape (num_requests,). How many of its first blocks the request looks up.
        tails: int64, shape (num_requests,). The blank slots that the request holds while it runs.
        num_ids: int. The number of block ids.
        capacity: int. The size of the cache in blocks.
        evictors: bool. Whether to find the requests that evicted.

    Returns:
        int64, shape (num_requests,): the hit blocks. int32, shape (num_requests,), or (0,) without `evictors`: the
        request that evicted the first block that the request looked up and missed, or -1 if no request did.
    """
    slots, places, counts = empty_caches(1, offsets, tails, num_ids, capacity)
    holds, newer, older, next_copy, blank, held, first_copy, last_copy = _rows(slots, places, 0)
    count = counts[0]
    hits = np.zeros(len(lookups), np.int64)
    evicted_by = np.full(len(lookups) if evictors else 0, _NONE, np.int32)
    evictor = np.full(num_ids if evictors else 0, _NONE, np.int32)
    for i in range(len(lookups)):
        hits[i] = _serve(
            holds, newer, older, next_copy, blank, held, first_copy, last_copy, count,
            blocks, offsets, lookups, tails, i, evictor,
        )  # fmt: skip
        if evictors and hits[i] < lookups[i]:
            evicted_by[i] = evictor[blocks[offsets[i] + hits[i]]]
    return hits, evicted_by


@kernel
def lru_reaches(blocks, offsets, lookups, tails, num_ids, capacity, most, wanted):
    """Whether a cache of `capacity` blocks hits at least `wanted` blocks, one request at a time.

    Args:
        blocks: int32, shape (num_accesses,). As in lru_hits.
        offsets: int64, shape (num_requests + 1,). As in lru_hits.
        lookups: int64, shape (num_requests,). As in lru_hits.
        tails: int64, shape (num_requests,). As in lru_hits.
        num_ids: int. The number of block ids.
        capacity: int. The size of the cache in blocks.
        most: int64, shape (num_requests,). The blocks that each request hits in an unlimited cache.
        wanted: int. Blocks.

    Returns:
        bool: whether the requests together hit so many blocks. The first requests are enough if they miss too many.
    """
    slots, places, counts = empty_caches(1, offsets, tails, num_ids, capacity)
    holds, newer, older, next_copy, blank, held, first_copy, last_copy = _rows(slots, places, 0)
    count = counts[0]
    no_evictor = np.empty(0, np.int32)
    spare = most.sum() - wanted
    for i in range(len(lookups)):
        if spare < 0:
            break
        hits = _serve(
            holds, newer, older, next_copy, blank, held, first_copy, last_copy, count,
            blocks, offsets, lookups, tails, i, no_evictor,
        )  # fmt: skip
        spare -= most[i] - hits
    return spare >= 0


@kernel
def expiring_hits(blocks, offsets, lookups, tails, num_ids, capacity, times_ns, ttl_ns):
    """The hit blocks of each request in a cache whose blocks expire `ttl_ns` after their last use.

    A block that was last used at time u cannot be hit at u + ttl_ns or later. Its slot is then blank. The least
    recently used blocks expire first, so the order of evictions stays that of LRU.

    Args:
        blocks: int32, shape (num_accesses,). The block ids of all requests, each from 0 to num_ids - 1.
        offsets: int64, shape (num_requests + 1,). Request i has blocks[offsets[i]:offsets[i + 1]].
        lookups: int64, shape (num_requests,). How many of its first blocks the request looks up.
        tails: int64, shape (num_requests,). The blank slots that the request holds while it runs.
        num_ids: int. The number of block ids.
        capacity: int. The size of the cache in blocks.
        times_ns: int64, shape (num_requests,). When each request uses its blocks, in ascending order.
        ttl_ns: int. Nanoseconds, at least 1.

    Returns:
        hits: int64, shape (num_requests,). The hit blocks.
        most_held: int. The most slots that held a block after a request.
    """
    slots, places, counts = empty_caches(1, offsets, tails, num_ids, capacity)
    holds, newer, older, next_copy = slots[0, _HOLDS], slots[0, _NEWER], slots[0, _OLDER], slots[0, _NEXT_COPY]
    room = len(holds) - 1
    used_ns = np.zeros(room, np.int64)  # by slot
    hits = np.zeros(len(lookups), np.int64)
    most_held = np.int64(0)
    no_evictor = np.empty(0, np.int32)
    for i in range(len(lookups)):
        slot = newer[room]
        while slot != room and times_ns[i] - used_ns[slot] >= ttl_ns:
            newer[room] = newer[slot]
            older[newer[slot]] = room
            _forget(slot, holds, places[0, 0], places[0, 1], next_copy)
            slots[0, _BLANK, counts[0, 0]] = slot
            counts[0, 0] += 1
            slot = newer[room]
        hits[i] = serve(slots, places, counts, 0, blocks, offsets, lookups, tails, i, no_evictor)
        slot = older[room]  # the request's blocks are the most recently used ones
        for _ in range(offsets[i + 1] - offsets[i]):
            if slot == room:
                break
            used_ns[slot] = times_ns[i]
            slot = older[slot]
        most_held = max(most_held, counts[0, 1] - counts[0, 0])
    return hits, most_held


@kernel
def pinned_hits(blocks, offsets, lookups, tails, num_ids, capacity, wanted, most):
    """The hit blocks of each request in a cache that never evicts the pinned blocks.

    After each request its first `wanted[i]` blocks are pinned, from the first on, as long as fewer than `most` blocks
    are pinned. Of a block with several copies, the one that lookups find is pinned.

    Args:
        blocks: int32, shape (num_accesses,). The block ids of all requests, each from 0 to num_ids - 1.
        offsets: int64, shape (num_requests + 1,). Request i has blocks[offsets[i]:offsets[i + 1]].
        lookups: int64, shape (num_requests,). How many of its first blocks the request looks up.
        tails: int64, shape (num_requests,). The blank slots that the request holds while it runs.
        num_ids: int. The number of block ids.
        capacity: int. The size of the cache in blocks.
        wanted: int64, shape (num_requests,). How many of its first blocks are pinned.
        most: int. The most blocks that are pinned.

    Returns:
        hits: int64, shape (num_requests,). The hit blocks.
        num_pinned: int. The blocks that are pinned at the end.
    """
    slots, places, counts = empty_caches(1, offsets, tails, num_ids, capacity)
    holds, newer, older = slots[0, _HOLDS], slots[0, _NEWER], slots[0, _OLDER]
    room = len(holds) - 1
    is_pinned = np.zeros(num_ids, np.uint8)
    num_pinned = np.int64(0)
    hits = np.zeros(len(lookups), np.int64)
    no_evictor = np.empty(0, np.int32)
    for i in range(len(lookups)):
        hits[i] = serve(slots, places, counts, 0, blocks, offsets, lookups, tails, i, no_evictor)
        slot = older[room]  # the request's blocks are the most recently used ones, its first block most of all
        for k in range(offsets[i + 1] - offsets[i]):
            if slot == room:
                break
            after = older[slot]
            block = holds[slot]
            if not is_pinned[block] and k < wanted[i] and num_pinned < most:
                is_pinned[block] = 1
                num_pinned += 1
            copy = places[0, 0, block]
            if is_pinned[block] and newer[copy] != copy:
                newer[older[copy]], older[newer[copy]] = newer[copy], older[copy]
                # A list of its own, so that `serve` can unlink it when the block is used again.
                newer[copy], older[copy] = copy, copy
            slot = after
    return hits, num_pinned


@kernel
def empty_caches(num_caches, offsets, tails, num_ids, capacity):
    """Empty LRU caches of `capacity` blocks, for `serve`.

    Args:
        num_caches: int. The number of caches.
        offsets: int64, shape (num_requests + 1,). As in lru_hits.
        tails: int64, shape (num_requests,). As in lru_hits.
        num_ids: int. The number of block ids.
        capacity: int. The size of each cache in blocks.

    Returns:
        slots: int32, shape (num_caches, 6, num_slots + 1). By slot: the block that it holds, the slot used next and the
            slot used before it (the list by recent use; the last slot is its sentinel), the slot of the next newer copy
            of its block, a stack of blank slots, and the blank slots that the request that is served holds.
        places: int32, shape (num_caches, 2, num_ids). By block: the slots of its oldest and of its newest copy, or -1.
        counts: int64, shape (num_caches, 2). The slots on the stack of blank ones, and the slots used so far.
    """
    most = np.int64(1)
    for i in range(len(tails)):
        most = max(most, offsets[i + 1] - offsets[i] + tails[i])
    room = min(capacity, offsets[-1] + most)
    # Not initialised, so that memory that is never used is never touched. Each entry is written before it is read.
    slots = np.empty((num_caches, 6, room + 1), np.int32)
    for cache in range(num_caches):
        slots[cache, _NEWER, room] = room
        slots[cache, _OLDER, room] = room
    places = np.full((num_caches, 2, num_ids), _NONE, np.int32)
    counts = np.zeros((num_caches, 2), np.int64)
    return slots, places, counts


@kernel
def found(places, cache, blocks, offsets, lookups, i):
    """The blocks that a request would hit in a cache now.

    Args:
        places: int32, shape (num_caches, 2, num_ids). As empty_caches returns it.
        cache: int. The number of the cache.
        blocks: int32, shape (num_accesses,). As in lru_hits.
        offsets: int64, shape (num_requests + 1,). As in lru_hits.
        lookups: int64, shape (num_requests,). As in lru_hits.
        i: int. The number of the request.

    Returns:
        int: the leading blocks that the cache holds, at most lookups[i].
    """
    num_hit = np.int64(0)
    while num_hit < lookups[i] and places[cache, 0, blocks[offsets[i] + num_hit]] != _NONE:
        num_hit += 1
    return num_hit


@kernel
def found_in_all(places, blocks, offsets, lookups, i):
    """The blocks that a request would hit in each cache now. Arguments as in `found`.

    Args:
        places: int32, shape (num_caches, 2, num_ids).
        blocks: int32, shape (num_accesses,).
        offsets: int64, shape (num_requests + 1,).
        lookups: int64, shape (num_requests,).
        i: int. The number of the request.

    Returns:
        int64, shape (num_caches,): the leading blocks that each cache holds.
    """
    hits = np.zeros(len(places), np.int64)
    for cache in range(len(places)):
        hits[cache] = found(places, cache, blocks, offsets, lookups, i)
    return hits


@kernel
def serve(slots, places, counts, cache, blocks, offsets, lookups, tails, i, evictor):
    """Run one request through a cache. The cache is changed in place.

    The request looks up its first blocks and uses the longest prefix found. It then takes one slot for each remaining
    block, and `tails[i]` slots that it returns blank. Blank slots are taken first, then those of the least recently
    used blocks; of one request the last block is evicted first. Two slots can hold the same block, if it was computed
    although it was cached. A lookup then finds the older copy.

    Args:
        slots: int32, shape (num_caches, 6, num_slots + 1). As empty_caches returns it.
        places: int32, shape (num_caches, 2, num_ids). As empty_caches returns it.
        counts: int64, shape (num_caches, 2). As empty_caches returns it.
        cache: int. The number of the cache.
        blocks: int32, shape (num_accesses,). As in lru_hits.
        offsets: int64, shape (num_requests + 1,). As in lru_hits.
        lookups: int64, shape (num_requests,). As in lru_hits.
        tails: int64, shape (num_requests,). As in lru_hits.
        i: int. The number of the request.
        evictor: int32, shape (num_ids,), or (0,) if it is not wanted. By block: the request that evicted it last from
            any cache, or -1. A block that has a further copy is not evicted.

    Returns:
        int: the hit blocks.
    """
    holds, newer, older, next_copy, blank, held, first_copy, last_copy = _rows(slots, places, cache)
    count = counts[cache]
    return _serve(
        holds, newer, older, next_copy, blank, held, first_copy, last_copy, count,
        blocks, offsets, lookups, tails, i, evictor,
    )  # fmt: skip


@kernel
def _rows(slots, places, cache):
    """The arrays of one cache.

    Args:
        slots: int32, shape (num_caches, 6, num_slots + 1). As empty_caches returns it.
        places: int32, shape (num_caches, 2, num_ids). As empty_caches returns it.
        cache: int. The number of the cache.

    Returns:
        The six rows of its slots and the two of its places, each int32, shape (num_slots + 1,) or (num_ids,).
    """
    own = slots[cache]
    of_slots = (own[_HOLDS], own[_NEWER], own[_OLDER], own[_NEXT_COPY], own[_BLANK], own[_HELD])
    return (*of_slots, places[cache, 0], places[cache, 1])


@kernel
def _serve(
    holds, newer, older, next_copy, blank, held, first_copy, last_copy, count,
    blocks, offsets, lookups, tails, i, evictor,
):  # fmt: skip
    """`serve` for a loop over requests, which finds the arrays of its cache once: that takes longer than a request.

    Each array is an argument: a loop that passes them in one tuple takes twice as long.

    Args:
        holds: int32, shape (num_slots + 1,). This row of the slots and the next five: as empty_caches describes them.
        newer: int32, shape (num_slots + 1,).
        older: int32, shape (num_slots + 1,).
        next_copy: int32, shape (num_slots + 1,).
        blank: int32, shape (num_slots + 1,).
        held: int32, shape (num_slots + 1,).
        first_copy: int32, shape (num_ids,). The slot of the oldest copy of each block, or -1.
        last_copy: int32, shape (num_ids,). The slot of its newest copy, or -1.
        count: int64, shape (2,). The slots on the stack of blank ones, and the slots used so far.
        blocks: int32, shape (num_accesses,). As in lru_hits.
        offsets: int64, shape (num_requests + 1,). As in lru_hits.
        lookups: int64, shape (num_requests,). As in lru_hits.
        tails: int64, shape (num_requests,). As in lru_hits.
        i: int. The number of the request.
        evictor: int32, shape (num_ids,) or (0,). As in `serve`.

    Returns:
        int: the hit blocks.
    """
    num_blank, num_used = count[0], count[1]
    room = len(holds) - 1
    begin = offsets[i]
    num_full = offsets[i + 1] - begin
    # The request's blocks leave the list by recent use and form a chain from `head`, its first block, to `tail`.
    # Blocks that were last used together are neighbours in the list: such a run moves at once.
    head = tail = np.int32(room)
    num_hit = np.int64(0)
    while num_hit < lookups[i]:
        first = first_copy[blocks[begin + num_hit]]
        if first == _NONE:
            break
        last = first
        num_hit += 1
        while num_hit < lookups[i] and first_copy[blocks[begin + num_hit]] == older[last]:
            last = older[last]
            num_hit += 1
        older[newer[first]], newer[older[last]] = older[last], newer[first]
        if head == room:
            head = first
        else:
            older[tail], newer[first] = first, tail
        tail = last
    num_held = 0
    for k in range(num_hit, num_full + tails[i]):
        if num_blank:
            num_blank -= 1
            slot = blank[num_blank]
        elif num_used < room:
            slot = np.int32(num_used)
            num_used += 1
        elif newer[room] == room:
            break  # the request alone fills the cache: its remaining blocks are not cached
        else:
            slot = newer[room]
            newer[room] = newer[slot]
            older[newer[slot]] = room
            evicted = holds[slot]
            _forget(slot, holds, first_copy, last_copy, next_copy)
            if len(evictor) and first_copy[evicted] == _NONE:
                evictor[evicted] = i
        if k >= num_full:
            held[num_held] = slot
            num_held += 1
            continue
        block = blocks[begin + k]
        holds[slot] = block
        next_copy[slot] = _NONE
        if first_copy[block] == _NONE:
            first_copy[block] = slot
        else:
            next_copy[last_copy[block]] = slot
        last_copy[block] = slot
        if head == room:
            head = slot
        else:
            older[tail], newer[slot] = slot, tail
        tail = slot
    for k in range(num_held):
        blank[num_blank] = held[k]
        num_blank += 1
    if head != room:
        older[tail], newer[older[room]] = older[room], tail
        newer[head], older[room] = room, head
    count[0], count[1] = num_blank, num_used
    return num_hit


@kernel
def _forget(slot, holds, first_copy, last_copy, next_copy):
    """Remove a slot from the list of its block's copies. All arrays are changed in place.

    Args:
        slot: int. The slot, which holds a block.
        holds: int32, shape (num_slots,). The block id in each slot, or -1.
        first_copy: int32, shape (num_ids,). The slot of each block's oldest copy, or -1.
        last_copy: int32, shape (num_ids,). The slot of its newest copy, or -1.
        next_copy: int32, shape (num_slots,). The slot of the next newer copy of the same block, or -1.
    """
    block = holds[slot]
    before = _NONE
    at = first_copy[block]
    while at != slot:
        before, at = at, next_copy[at]
    if before == _NONE:
        first_copy[block] = next_copy[slot]
    else:
        next_copy[before] = next_copy[slot]
    if last_copy[block] == slot:
        last_copy[block] = before
    holds[slot] = _NONE
