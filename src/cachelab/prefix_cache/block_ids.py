"""Block ids: integers that are equal only if all tokens up to the end of the block are equal.

Requests with different isolation (message.Isolation) have different roots and share no block.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cachelab.prefix_cache.accesses import Int32s, Int64s
from cachelab.request import Request
from cachelab.tokens import AnyTokens, TokenIds

ROOT = -1
_DIGEST_BYTES = 16


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
        digests = {ROOT - number: _root_digest(salt) for number, salt in enumerate(self.roots.salts)}
        for block in blocks:
            lineage = []
            while block not in digests:
                lineage.append(block)
                block = int(self.parents[block])
            for descendant in reversed(lineage):
                parent = digests[int(self.parents[descendant])]
                digests[descendant] = hashlib.sha256(parent + self._content(descendant)).digest()
        return {block: digest[:_DIGEST_BYTES].hex() for block, digest in digests.items() if block >= 0}

    def root_digest(self, sequence: int) -> str:
        """The digest of a sequence's root, the parent of its first block: "" without isolation, else 32 hex digits."""
        return _root_digest(self.roots.salts[int(self.roots.numbers[sequence])])[:_DIGEST_BYTES].hex()

    def _content(self, block: int) -> bytes:
        start = int(self.where[block])
        tokens = self.tokens[start : start + self.width].astype("<i4", copy=False).tobytes()
        return tokens * (self.block_size // self.width)


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
    """All sequences as one int32 array, and the start and the length of each. Shape of these: (num_sequences,)."""
    lengths = np.fromiter((sum(map(len, pieces)) for pieces in sequences), np.int64, len(sequences))
    all_pieces = [piece for pieces in sequences for piece in pieces]
    tokens = np.concatenate(all_pieces, dtype=np.int32) if all_pieces else np.empty(0, np.int32)
    return tokens, np.cumsum(lengths) - lengths, lengths
