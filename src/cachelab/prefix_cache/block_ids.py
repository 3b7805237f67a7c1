"""Block ids: integers that are equal only if all tokens up to the end of the block are equal.

Requests with different isolation (message.Isolation) have different roots and share no block.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import overload

import numpy as np
import numpy.typing as npt

from cachelab.mapped_array import give_back, mapped_array
from cachelab.prefix_cache.accesses import Int32s, Int64s
from cachelab.request import Request
from cachelab.tokens import AnyTokens, TokenIds, follows, part_of, start_in

ROOT = -1
_SHA_BYTES, _DIGEST_BYTES = 32, 16
_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)
_AT_ONCE = 1 << 16
"""Blocks whose numbers are Python objects at the same time."""


@dataclass(frozen=True, eq=False)
class BlockIds:
    """The block ids of token sequences. Two blocks have the same id only if they and all their ancestors are equal.

    `ids`: int32, shape (num_blocks,); sequence i has `ids[offsets[i]:offsets[i + 1]]`. `offsets`: int64, shape
    (num_sequences + 1,). `parents`: int32, shape (num_ids,): the id of each block's parent, always the smaller of the
    two; ROOT for a first block. `where`: int64, shape (num_ids,): the index in `tokens` of each block's first token.
    `tokens`: int32: all sequences, `width` tokens per block. A block is these tokens repeated up to `block_size`.
    `roots`: the sequences' roots; the parent of a first block is ROOT - root.
    """

    ids: Int32s
    offsets: Int64s
    parents: Int32s
    where: Int64s
    tokens: Int32s
    width: int
    block_size: int
    roots: "Roots"

    @classmethod
    def of(
        cls,
        sequences: Sequence[AnyTokens],
        block_size: int,
        width: int | None = None,
        roots: "Roots | None" = None,
    ) -> "BlockIds":
        """The ids of the full blocks of the sequences, in the order of the sequences.

        With `width` the sequences hold only the first `width` tokens of each block, which the block repeats.
        Without `roots` all sequences have the root of requests without isolation.
        """
        return cls.of_pieces([(sequence,) for sequence in sequences], block_size, width, roots)

    @classmethod
    def of_pieces(
        cls,
        sequences: Sequence[tuple[AnyTokens, ...]],
        block_size: int,
        width: int | None = None,
        roots: "Roots | None" = None,
    ) -> "BlockIds":
        """The same for sequences that consist of pieces."""
        from cachelab.prefix_cache.kernels.interning import intern

        width = width or block_size
        tokens, starts, lengths = concatenated(sequences)
        roots = roots or Roots.same(len(sequences))
        ids, offsets, parents, where = intern(tokens, starts, lengths, width, roots.numbers)
        give_back(tokens)
        return cls(ids, offsets, parents, where, tokens, width, block_size, roots)

    @property
    def num_ids(self) -> int:
        return len(self.parents)

    @cached_property
    def per_sequence(self) -> Sequence[Int32s]:
        """The ids of each sequence, each of shape (num_blocks_of_the_sequence,)."""
        return np.split(self.ids, self.offsets[1:-1]) if len(self.offsets) > 1 else []

    def digests(self, blocks: Iterable[int]) -> Mapping[int, str]:
        """Names of the blocks and of their ancestors: 32 hex digits of a chained SHA-256, equal in every process."""
        named = self._with_ancestors(np.fromiter(blocks, np.int64))
        return dict(zip(named.tolist(), self.names(named), strict=True))

    def names(self, blocks: Int64s) -> "BlockNames":
        """The same names, one for each block. Shape: (num_blocks,)."""
        named = self._with_ancestors(blocks)
        made = bytearray(_SHA_BYTES * len(named))
        place = np.zeros(self.num_ids, np.int32)
        place[named] = np.arange(len(named), dtype=np.int32)
        roots = [_root_digest(salt) for salt in self.roots.salts]
        tokens = np.ascontiguousarray(self.tokens, "<i4").data.cast("B")
        repeats, end = self.block_size // self.width, 0
        for some in np.array_split(named, len(named) // _AT_ONCE + 1):  # parents first: their ids are smaller
            parents = self.parents[some]
            starts = _SHA_BYTES * place[np.maximum(parents, 0)].astype(np.int64)
            rows = zip(parents.tolist(), starts.tolist(), (4 * self.where[some]).tolist(), strict=True)
            for parent, start, at in rows:
                before = made[start : start + _SHA_BYTES] if parent >= 0 else roots[ROOT - parent]
                content = bytes(tokens[at : at + 4 * self.width]) * repeats
                made[end : end + _SHA_BYTES] = hashlib.sha256(before + content).digest()
                end += _SHA_BYTES
            give_back(self.tokens)
        digests = np.frombuffer(made, np.uint8).reshape(-1, _SHA_BYTES)[:, :_DIGEST_BYTES].copy()
        return BlockNames(digests, place[blocks])

    def _with_ancestors(self, blocks: Int64s) -> Int64s:
        """The blocks and their ancestors, in ascending order."""
        wanted = np.zeros(self.num_ids, np.bool_)
        while len(blocks):
            wanted[blocks] = True
            parents = self.parents[blocks]
            parents = parents[parents >= 0]
            blocks = np.unique(parents[~wanted[parents]])
        return np.flatnonzero(wanted)

    def root_digest(self, sequence: int) -> str:
        """The digest of a sequence's root, the parent of its first block: "" without isolation, else 32 hex digits."""
        return _root_digest(self.roots.salts[int(self.roots.numbers[sequence])])[:_DIGEST_BYTES].hex()


@dataclass(frozen=True, slots=True, eq=False)
class BlockNames(Sequence[str]):
    """Names of blocks as 32 hex digits each, made from 16 bytes when they are read.

    `digests`: uint8, shape (num_digests, 16). `rows`: int32, shape (num_blocks,): the digest of each block.
    """

    digests: npt.NDArray[np.uint8]
    rows: Int32s

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, key: int) -> str: ...

    @overload
    def __getitem__(self, key: slice | Int64s) -> "BlockNames": ...

    def __getitem__(self, key: int | slice | Int64s) -> "str | BlockNames":
        if isinstance(key, int):
            digest: bytes = self.digests[self.rows[key]].tobytes()
            return digest.hex()
        return BlockNames(self.digests, self.rows[key])

    def digits(self) -> npt.NDArray[np.uint8]:
        """The hex digits in ASCII. Shape: (num_blocks, 32)."""
        digests = self.digests[self.rows]
        found = np.empty((len(digests), 2 * _DIGEST_BYTES), np.uint8)
        found[:, 0::2], found[:, 1::2] = _HEX[digests >> 4], _HEX[digests & 15]
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Roots:
    """The root of each sequence, as an index into `salts`. Root 0 is the root without isolation.

    `numbers`: int64, shape (num_sequences,).
    """

    numbers: Int64s
    salts: tuple[str | None, ...] = (None,)

    @classmethod
    def of(cls, requests: Sequence[Request]) -> "Roots":
        """The roots of requests: one for each different isolation."""
        found: dict[str | None, int] = {None: 0}
        salts = (request.isolation.salt if request.isolation else None for request in requests)
        numbers = [found.setdefault(salt, len(found)) for salt in salts]
        return cls(np.asarray(numbers, np.int64), tuple(found))

    @classmethod
    def same(cls, sequences: int) -> "Roots":
        """The root without isolation for all sequences."""
        return cls(np.zeros(sequences, np.int64))


def _root_digest(salt: str | None) -> bytes:
    return b"" if salt is None else hashlib.sha256(salt.encode()).digest()


def concatenated(sequences: Sequence[tuple[AnyTokens, ...]]) -> tuple[TokenIds, Int64s, Int64s]:
    """All sequences in one int32 array, and the start and the length of each. Shape of these: (num_sequences,).

    Parts of one array that is not longer than all sequences together are not copied: the result is that array, and
    behind it the sequences that are no part of it.
    """
    lengths = np.fromiter((sum(map(len, pieces)) for pieces in sequences), np.int64, len(sequences))
    base = next((base for pieces in sequences if (base := _whole(pieces)) is not None), None)
    if base is None or len(base) > lengths.sum():
        all_pieces = [piece for pieces in sequences for piece in pieces]
        return _copied(all_pieces, int(lengths.sum())), np.cumsum(lengths) - lengths, lengths
    starts = np.empty(len(sequences), np.int64)
    others: list[AnyTokens] = []
    end = len(base)
    for index, pieces in enumerate(sequences):
        if _whole(pieces) is base:
            starts[index] = start_in(pieces[0], base)
        else:
            starts[index] = end
            end += int(lengths[index])
            others.extend(pieces)
    return _copied([base, *others], end) if others else base, starts, lengths


def _copied(pieces: Sequence[AnyTokens], length: int) -> TokenIds:
    """The pieces, one after the other, `length` tokens together."""
    copy = mapped_array(length)
    if pieces:
        np.concatenate(pieces, out=copy)
    return copy


def _whole(pieces: tuple[AnyTokens, ...]) -> TokenIds | None:
    """The array of which the pieces are neighbouring parts; None if there is none."""
    return part_of(pieces[0]) if all(follows(*pair) for pair in pairwise(pieces)) else None
