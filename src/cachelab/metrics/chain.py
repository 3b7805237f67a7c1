"""Which blocks are the same block: a block's identity is the chain (its parent block, its tokens)."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cachelab.conversation import TokenIds

BlockKey = tuple[int, bytes]
"""The parent's id (ROOT for a first block) and the block's tokens as little-endian int32."""

BlockIds = npt.NDArray[np.int64]

ROOT = -1
_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True, eq=False)
class BlockChains:
    """The full blocks of token sequences, in small integers: equal ids are equal chains, a parent's id is the smaller.

    `keys` holds each id's key; `chains` each sequence's ids, shape (num_tokens // block_size,); `known_blocks` how many
    of them an earlier sequence holds too. Those come first: under a new parent every block is new.
    """

    keys: Sequence[BlockKey]
    chains: Sequence[BlockIds]
    known_blocks: Sequence[int]

    @classmethod
    def of(cls, sequences: Iterable[TokenIds], block_size: int) -> "BlockChains":
        """Number the blocks of the sequences, one sequence after another."""
        ids: dict[BlockKey, int] = {}
        chains: list[BlockIds] = []
        known_blocks: list[int] = []
        width = 4 * block_size
        for tokens in sequences:
            data = tokens.astype("<i4", copy=False).tobytes()
            known, parent = len(ids), ROOT
            chain: list[int] = []
            for start in range(0, len(data) - width + 1, width):
                parent = ids.setdefault((parent, data[start : start + width]), len(ids))
                chain.append(parent)
            chains.append(np.asarray(chain, dtype=np.int64))
            known_blocks.append(int(np.count_nonzero(chains[-1] < known)))
        return cls(list(ids), chains, known_blocks)

    def digests(self, blocks: Iterable[int]) -> Mapping[int, str]:
        """A name for each block and its ancestors, the same in every process: 32 hex digits of a SHA-256 chain."""
        digests: dict[int, bytes] = {ROOT: b""}
        for block in blocks:
            lineage = []
            while block not in digests:
                lineage.append(block)
                block = self.keys[block][0]
            for descendant in reversed(lineage):
                parent, tokens = self.keys[descendant]
                digests[descendant] = hashlib.sha256(digests[parent] + tokens).digest()
        return {block: digest[:_DIGEST_BYTES].hex() for block, digest in digests.items() if block != ROOT}
