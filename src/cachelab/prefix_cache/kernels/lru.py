"""One prefix cache of one size, block by block, as vLLM's block pool keeps it."""

import numpy as np
from numba import njit

_NONE = -1


@njit(cache=True)
def replay(blocks, offsets, lookups, tails, num_ids, capacity):
    """Hit blocks of each request that runs alone, one after another, in a cache of `capacity` blocks.

    Request i looks up the first `lookups[i]` of its blocks and takes the longest prefix found; it then takes a slot for
    each block that is left, and `tails[i]` slots that it gives back blank. Blank slots are taken first, then those of
    the least recently used blocks, the deepest of a request before the others. Two slots may hold the same block (one
    computed though it was there): a lookup finds the one that has been there longest.
    """
    most = np.int64(1)
    for i in range(len(lookups)):
        most = max(most, offsets[i + 1] - offsets[i] + tails[i])
    room = min(capacity, offsets[-1] + most)
    holds = np.full(room, _NONE, np.int32)
    # the list of least recent use: `newer` of the sentinel at `room` is the slot to be taken next
    newer = np.full(room + 1, room, np.int32)
    older = np.full(room + 1, room, np.int32)
    # slots of one block, longest there first
    first_copy = np.full(num_ids, _NONE, np.int32)
    last_copy = np.full(num_ids, _NONE, np.int32)
    next_copy = np.full(room, _NONE, np.int32)
    blank = np.empty(room, np.int32)
    for slot in range(room):
        blank[slot] = room - 1 - slot
    num_blank = room
    mine = np.empty(most, np.int32)
    hits = np.zeros(len(lookups), np.int64)
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
        num_mine = num_hit
        for k in range(num_hit, num_full + tails[i]):
            if num_blank:
                num_blank -= 1
                slot = blank[num_blank]
            elif newer[room] == room:
                break  # the request alone fills the cache: the rest of it passes by
            else:
                slot = newer[room]
                newer[room] = newer[slot]
                older[newer[slot]] = room
                _forget(slot, holds, first_copy, last_copy, next_copy)
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
    return hits


@njit(cache=True)
def _forget(slot, holds, first_copy, last_copy, next_copy):
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
