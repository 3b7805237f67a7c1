"""Numbers the blocks of token sequences by comparing tokens, never digests: equal ids are equal chains."""

from typing import Any

import numpy as np
from numba import njit

ROOT = -1
_EMPTY = -1


@njit(cache=True, inline="always")
def _same(tokens, a, b, width):
    """Whether two blocks hold the same tokens; without an early exit, so that the loop is vectorised."""
    differs = 0
    for i in range(width):
        differs |= tokens[a + i] ^ tokens[b + i]
    return differs == 0


@njit(cache=True, inline="always")
def _spread(tokens, at, width, parent):
    """Where the search for a block starts in the table of siblings."""
    h = np.uint64(parent + 2) * np.uint64(0x9E3779B97F4A7C15)
    for i in range(width):
        h = (h ^ np.uint64(tokens[at + i])) * np.uint64(0x100000001B3)
    h ^= h >> np.uint64(29)
    h *= np.uint64(0xBF58476D1CE4E5B9)
    return np.int64((h ^ (h >> np.uint64(32))) >> np.uint64(1))


def intern(tokens: Any, starts: Any, lengths: Any, width: int, roots: Any = None) -> Any:
    """Chain ids of the full blocks of sequences that lie in `tokens`, one after another.

    Sequences share blocks only where their numbers in `roots` (from 0) are equal; None: all are 0.
    Returns (ids, offsets, parents, where): ids of sequence i are ids[offsets[i]:offsets[i + 1]]; of each id the parent
    (ROOT - root for a first block) and the place of its tokens. A block is first compared with its parent's
    first child; only siblings go through a hash table, which compares tokens too.
    """
    if roots is None:
        roots = np.zeros(len(starts), np.int64)
    return _intern(tokens, starts, lengths, width, roots)


@njit(cache=True)
def _intern(tokens, starts, lengths, width, roots):
    num_roots = 1
    for root in roots:
        num_roots = max(num_roots, root + 1)
    num_sequences = len(starts)
    offsets = np.zeros(num_sequences + 1, np.int64)
    for i in range(num_sequences):
        offsets[i + 1] = offsets[i] + lengths[i] // width
    ids = np.empty(offsets[-1], np.int32)
    room = 1024
    parents = np.empty(room, np.int32)
    where = np.empty(room, np.int64)
    first_child = np.full(room + num_roots, _EMPTY, np.int32)  # of id n at n + num_roots, the roots before
    num_ids = 0
    table = np.full(1024, _EMPTY, np.int32)
    in_table = 0
    for i in range(num_sequences):
        parent = np.int64(ROOT - roots[i])
        at = starts[i]
        for j in range(offsets[i], offsets[i + 1]):
            found = first_child[parent + num_roots]
            slot = -1
            if found != _EMPTY and not _same(tokens, at, where[found], width):
                mask = len(table) - 1
                place = _spread(tokens, at, width, parent) & mask
                while True:
                    found = table[place]
                    if found == _EMPTY:
                        slot = place
                        break
                    if parents[found] == parent and _same(tokens, at, where[found], width):
                        break
                    place = (place + 1) & mask
            if found == _EMPTY:
                if num_ids == room:
                    room *= 2
                    parents = _grown(parents, room)
                    where = _grown(where, room)
                    children = np.full(room + num_roots, _EMPTY, np.int32)
                    children[: num_ids + num_roots] = first_child
                    first_child = children
                found = np.int32(num_ids)
                num_ids += 1
                parents[found] = parent
                where[found] = at
                if slot == -1:
                    first_child[parent + num_roots] = found
                else:
                    table[slot] = found
                    in_table += 1
                    if 2 * in_table > len(table):
                        table = _rehashed(table, tokens, where, parents, width)
            ids[j] = found
            parent = np.int64(found)
            at += width
    return ids, offsets, parents[:num_ids].copy(), where[:num_ids].copy()


@njit(cache=True)
def _grown(array, room):
    larger = np.empty(room, array.dtype)
    larger[: len(array)] = array
    return larger


@njit(cache=True)
def _rehashed(table, tokens, where, parents, width):
    larger = np.full(2 * len(table), _EMPTY, np.int32)
    mask = len(larger) - 1
    for found in table:
        if found != _EMPTY:
            place = _spread(tokens, where[found], width, parents[found]) & mask
            while larger[place] != _EMPTY:
                place = (place + 1) & mask
            larger[place] = found
    return larger


@njit(cache=True)
def name_their_parents(ids, offsets, num_ids):
    """Whether each id follows the same id wherever it stands: then equal ids are equal chains already."""
    unknown = -2
    parents = np.full(num_ids, unknown, np.int32)
    for i in range(len(offsets) - 1):
        parent = np.int32(ROOT)
        for j in range(offsets[i], offsets[i + 1]):
            before = parents[ids[j]]
            if before != parent:
                if before != unknown:
                    return False
                parents[ids[j]] = parent
            parent = ids[j]
    return True
