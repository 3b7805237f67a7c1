"""Gives blocks of token sequences integer ids. Tokens are compared, not digests, so the result is exact."""

from typing import Any

import numpy as np

from cachelab.mapped_array import mapped_array
from cachelab.prefix_cache.kernels.kernel import inlined, kernel

ROOT = -1
_EMPTY = -1


@inlined
def _same(tokens, a, b, width):
    """Whether two blocks hold the same tokens. There is no early exit, so that the loop is vectorised.

    Args:
        tokens: int32, shape (num_tokens,).
        a: int. Where the first block starts in `tokens`.
        b: int. Where the second block starts.
        width: int. The tokens per block.

    Returns:
        bool: whether all tokens are equal.
    """
    differs = 0
    for i in range(width):
        differs |= tokens[a + i] ^ tokens[b + i]
    return differs == 0


@inlined
def _spread(tokens, at, width, parent):
    """The hash of a block and its parent: where the search in the table of siblings starts.

    Args:
        tokens: int32, shape (num_tokens,).
        at: int. Where the block starts in `tokens`.
        width: int. The tokens per block.
        parent: int. The id of the parent, or ROOT.

    Returns:
        int: not negative, not yet reduced to the size of the table.
    """
    h = np.uint64(parent + 2) * np.uint64(0x9E3779B97F4A7C15)
    for i in range(width):
        h = (h ^ np.uint64(tokens[at + i])) * np.uint64(0x100000001B3)
    h ^= h >> np.uint64(29)
    h *= np.uint64(0xBF58476D1CE4E5B9)
    return np.int64((h ^ (h >> np.uint64(32))) >> np.uint64(1))


def intern(tokens: Any, starts: Any, lengths: Any, width: int, roots: Any = None) -> Any:
    """The ids of the full blocks of sequences. Blocks are equal if they and all their ancestors hold the same tokens.

    A block is first compared with its parent's first child. Only further children are found through a hash table, which
    also compares tokens.

    Args:
        tokens: int32, shape (num_tokens,). All sequences.
        starts: int64, shape (num_sequences,). Where each sequence starts in `tokens`.
        lengths: int64, shape (num_sequences,). The length of each sequence in tokens.
        width: int. The tokens per block.
        roots: int64, shape (num_sequences,). Sequences with different roots (from 0) share no block; None: all 0.

    Returns:
        ids: int32, shape (num_blocks,). Sequence i has ids[offsets[i]:offsets[i + 1]].
        offsets: int64, shape (num_sequences + 1,).
        parents: int32, shape (num_ids,). The id of each block's parent; ROOT - root for a first block.
        where: int64, shape (num_ids,). Where each block starts in `tokens`.
    """
    if roots is None:
        roots = np.zeros(len(starts), np.int64)
    ids = mapped_array(int((lengths // width).sum()))
    offsets, parents, where = _intern(tokens, starts, lengths, width, roots, ids)
    return ids, offsets, parents, where


@kernel
def _intern(tokens, starts, lengths, width, roots, ids):
    num_roots = 1
    for root in roots:
        num_roots = max(num_roots, root + 1)
    num_sequences = len(starts)
    offsets = np.zeros(num_sequences + 1, np.int64)
    for i in range(num_sequences):
        offsets[i + 1] = offsets[i] + lengths[i] // width
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
    return offsets, parents[:num_ids].copy(), where[:num_ids].copy()


@kernel
def _grown(array, room):
    """A copy of the array (any dtype, shape (n,)) of length `room` (int, at least n), the rest uninitialised."""
    larger = np.empty(room, array.dtype)
    larger[: len(array)] = array
    return larger


@kernel
def _rehashed(table, tokens, where, parents, width):
    """The table of siblings at twice its size.

    Args:
        table: int32, shape (a power of two,). The block id in each slot, or -1.
        tokens: int32, shape (num_tokens,).
        where: int64, shape (num_ids,). Where each block starts in `tokens`.
        parents: int32, shape (num_ids,). The id of each block's parent.
        width: int. The tokens per block.

    Returns:
        int32, shape (2 * len(table),).
    """
    larger = np.full(2 * len(table), _EMPTY, np.int32)
    mask = len(larger) - 1
    for found in table:
        if found != _EMPTY:
            place = _spread(tokens, where[found], width, parents[found]) & mask
            while larger[place] != _EMPTY:
                place = (place + 1) & mask
            larger[place] = found
    return larger


@kernel
def name_their_parents(ids, offsets, num_ids):
    """Whether each id has the same predecessor everywhere. Equal ids then also mean equal ancestors.

    Args:
        ids: int32, shape (num_blocks,). Sequence i has ids[offsets[i]:offsets[i + 1]].
        offsets: int64, shape (num_sequences + 1,).
        num_ids: int. The number of ids.

    Returns:
        bool: whether this holds for all ids.
    """
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
