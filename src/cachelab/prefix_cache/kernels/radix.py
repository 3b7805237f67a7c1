"""The longest prefix of each sequence that an earlier sequence also starts with, token by token."""

import numpy as np

from cachelab.prefix_cache.kernels.kernel import kernel

_NONE = -1


@kernel
def longest_known(tokens, starts, lengths, asked, roots):
    """The longest prefix of each sequence's first tokens that an earlier sequence with the same root also starts with.

    The sequences are kept in a radix tree. An edge is a slice of `tokens`. The children of a node differ in their first
    token, by which a hash table finds them. A sequence adds at most one leaf and splits at most one edge. Each node
    knows the latest sequence that goes through it.

    Args:
        tokens: int32, shape (num_tokens,). All sequences.
        starts: int64, shape (num_sequences,). Where each sequence starts in `tokens`.
        lengths: int64, shape (num_sequences,). The length of each sequence in tokens.
        asked: int64, shape (num_sequences,). How many of the sequence's first tokens are looked up, at most its length.
        roots: int64, shape (num_sequences,). The root of each sequence, from 0.

    Returns:
        known: int64, shape (num_sequences,). The length of the prefix in tokens, at most `asked`.
        earlier: int64, shape (num_sequences,). The latest earlier sequence with that prefix; -1 where `known` is 0.
    """
    num_roots = 1
    for root in roots:
        num_roots = max(num_roots, root + 1)
    room = 2 * len(starts) + 1 + num_roots
    edge_start = np.zeros(room, np.int64)
    edge_length = np.zeros(room, np.int64)
    parents = np.full(room, _NONE, np.int64)
    latest = np.full(room, _NONE, np.int64)
    size = 4
    while size < 2 * room:
        size *= 2
    table = np.full(size, _NONE, np.int64)  # (parent, first token) -> child
    num_nodes = num_roots  # nodes from 0 on
    known = np.zeros(len(starts), np.int64)
    earlier = np.full(len(starts), _NONE, np.int64)
    for i in range(len(starts)):
        node = np.int64(roots[i])
        at, end = starts[i], starts[i] + lengths[i]
        looked_up = starts[i] + asked[i]
        while at < end:
            slot = _find(table, parents, edge_start, tokens, node, tokens[at])
            child = table[slot]
            if child == _NONE:
                edge_start[num_nodes], edge_length[num_nodes], parents[num_nodes] = at, end - at, node
                latest[num_nodes] = i
                table[slot] = num_nodes
                num_nodes += 1
                break
            start, most = edge_start[child], min(edge_length[child], end - at)
            same = np.int64(1)
            while same < most and tokens[start + same] == tokens[at + same]:
                same += 1
            if at < looked_up:
                known[i] = min(at + same, looked_up) - starts[i]
                earlier[i] = latest[child]
            at += same
            if same == edge_length[child]:
                latest[child] = i
                node = child
                continue
            # the edge's first part becomes a new node, which takes the child's place
            middle = num_nodes
            edge_start[middle], edge_length[middle], parents[middle] = start, same, node
            latest[middle] = i
            table[slot] = middle
            num_nodes += 1
            edge_start[child], edge_length[child], parents[child] = start + same, edge_length[child] - same, middle
            table[_find(table, parents, edge_start, tokens, middle, tokens[start + same])] = child
            if at == end:
                break  # the sequence ends within the edge: it adds no leaf
            leaf = num_nodes
            edge_start[leaf], edge_length[leaf], parents[leaf] = at, end - at, middle
            latest[leaf] = i
            table[_find(table, parents, edge_start, tokens, middle, tokens[at])] = leaf
            num_nodes += 1
            break
    return known, earlier


@kernel
def _find(table, parents, edge_start, tokens, parent, token):
    """The slot of a node's child in the hash table, or the free slot where it belongs.

    Args:
        table: int64, shape (a power of two,). The child in each slot, or -1.
        parents: int64, shape (num_nodes,). The parent of each node.
        edge_start: int64, shape (num_nodes,). Where the edge to each node starts in `tokens`.
        tokens: int32, shape (num_tokens,). All sequences.
        parent: int. The node.
        token: int. The first token of the edge to the child.

    Returns:
        int: an index into `table`.
    """
    h = (np.uint64(parent) * np.uint64(0x9E3779B97F4A7C15)) ^ (np.uint64(token) * np.uint64(0xC2B2AE3D27D4EB4F))
    h = (h ^ (h >> np.uint64(31))) * np.uint64(0xBF58476D1CE4E5B9)
    mask = len(table) - 1
    slot = np.int64(h >> np.uint64(33)) & mask
    while True:
        child = table[slot]
        if child == _NONE or (parents[child] == parent and tokens[edge_start[child]] == token):
            return slot
        slot = (slot + 1) & mask
