"""An LRU prefix cache of one size, block by block, with the rules of vLLM's block pool."""

import numpy as np
from numba import njit

_NONE = -1


@njit(cache=True)
def lru_hits(blocks, offsets, lookups, tails, num_ids, capacity, evictors):
    """The hit blocks of each request in a cache of `capacity` blocks, one request at a time.

    A request looks up its first blocks and uses the longest prefix found. It then takes one slot for each remaining
    block, and `tails[i]` slots that it returns blank. Blank slots are taken first, then those of the least recently
    used blocks; of one request the last block is evicted first. Two slots can hold the same block, if it was computed
    although it was cached. A lookup then finds the older copy.

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
    most = np.int64(1)
    for i in range(len(lookups)):
        most = max(most, offsets[i + 1] - offsets[i] + tails[i])
    room = min(capacity, offsets[-1] + most)
    holds = np.full(room, _NONE, np.int32)
    # the list by recent use: `newer` of the sentinel at `room` is the slot that is taken next
    newer = np.full(room + 1, room, np.int32)
    older = np.full(room + 1, room, np.int32)
    # the slots of each block, the oldest copy first
    first_copy = np.full(num_ids, _NONE, np.int32)
    last_copy = np.full(num_ids, _NONE, np.int32)
    next_copy = np.full(room, _NONE, np.int32)
    blank = np.empty(room, np.int32)
    for slot in range(room):
        blank[slot] = room - 1 - slot
    num_blank = room
    mine = np.empty(most, np.int32)
    hits = np.zeros(len(lookups), np.int64)
    evicted_by = np.full(len(lookups) if evictors else 0, _NONE, np.int32)
    evictor = np.full(num_ids if evictors else 0, _NONE, np.int32)
    for i in range(len(lookups)):
        begin = offsets[i]
        num_full = offsets[i + 1] - begin
        num_hit = 0
        while num_hit < lookups[i] and first_copy[blocks[begin + num_hit]] != _NONE:
            slot = first_copy[blocks[begin + num_hit]]
            newer[older[slot]], older[newer[slot]] = newer[slot], older[slot]
            mine[num_hit] = slot
            num_hit += 1
        hits[i] = num_hit
        if evictors and num_hit < lookups[i]:
            evicted_by[i] = evictor[blocks[begin + num_hit]]
        num_mine = num_hit
        for k in range(num_hit, num_full + tails[i]):
            if num_blank:
                num_blank -= 1
                slot = blank[num_blank]
            elif newer[room] == room:
                break  # the request alone fills the cache: its remaining blocks are not cached
            else:
                slot = newer[room]
                newer[room] = newer[slot]
                older[newer[slot]] = room
                lost = holds[slot]
                _forget(slot, holds, first_copy, last_copy, next_copy)
                if evictors and first_copy[lost] == _NONE:
                    evictor[lost] = i
            if k < num_full:
                block = blocks[begin + k]
                holds[slot] = block
                next_copy[slot] = _NONE
                if first_copy[block] == _NONE:
                    first_copy[block] = slot
                else:
                    next_copy[last_copy[block]] = slot
                last_copy[block] = slot
            mine[k] = slot
            num_mine += 1
        for k in range(num_full, num_mine):
            blank[num_blank] = mine[k]
            num_blank += 1
        for k in range(min(num_full, num_mine) - 1, -1, -1):
            slot = mine[k]
            older[slot], newer[slot] = older[room], room
            newer[older[room]] = slot
            older[room] = slot
    return hits, evicted_by


@njit(cache=True)
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
