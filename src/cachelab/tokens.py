"""Token ids: an array, or the blocks of a block trace, which become an array when it is needed."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

TokenIds = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class BlockTokens:
    """A sequence of tokens that is made on demand: each token of a block is the block's number.

    Equal numbers are equal tokens, and different numbers different tokens, so sequences share a prefix exactly where
    their blocks do. The tokens are those of `blocks`, each `block_size` long, the last one repeated as often as needed,
    without the first `skip` tokens. `listed`: the blocks that the trace lists for a prompt; None for a reply.
    Shapes: blocks (>= 1,), listed (ceil(length / block_size),).
    """

    blocks: TokenIds
    block_size: int
    length: int
    skip: int = 0
    listed: TokenIds | None = None

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, key: slice) -> TokenIds:
        start, stop, step = key.indices(self.length)
        return self.expanded(max(start, stop))[start:stop:step] if step > 0 else self.expanded(self.length)[key]

    def __iter__(self) -> Iterator[int]:
        return iter(self.tolist())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> TokenIds:
        return self.expanded(self.length).astype(dtype or np.int32, copy=False)

    def tolist(self) -> list[int]:
        ids: list[int] = self.expanded(self.length).tolist()
        return ids

    def first_blocks(self, number: int) -> TokenIds:
        """The first blocks, the last one repeated if there are fewer. Shape: (number,)."""
        if number <= len(self.blocks):
            return self.blocks[:number]
        return np.concatenate([self.blocks, np.repeat(self.blocks[-1:], number - len(self.blocks))])

    def expanded(self, length: int) -> TokenIds:
        """The first `length` tokens."""
        end = self.skip + length
        return np.repeat(self.first_blocks(-(-end // self.block_size)), self.block_size)[self.skip : end]

    @property
    def prompt_blocks(self) -> TokenIds:
        """The blocks of a prompt, including a partial last one: the listed ones, otherwise its own."""
        return self.first_blocks(-(-self.length // self.block_size)) if self.listed is None else self.listed


@dataclass(frozen=True, slots=True, eq=False)
class JoinedTokens(BlockTokens):
    """Concatenated sequences. The end of a sequence need not be the end of a block.

    The tokens are those of `pieces`. `blocks` are the numbers of the blocks of the whole; equal numbers are equal
    tokens. The first token is token number `skip` of the first block.
    """

    pieces: tuple[BlockTokens, ...] = ()

    def expanded(self, length: int) -> TokenIds:
        """The first `length` tokens."""
        parts: list[TokenIds] = [np.empty(0, np.int32)]
        for piece in self.pieces:
            parts.append(piece.expanded(min(length, len(piece))))
            length -= len(parts[-1])
        return np.concatenate(parts)


AnyTokens = TokenIds | BlockTokens
"""Token ids: an array, or blocks that become one."""
