"""Token ids: an array, or the blocks of a block trace, which become one when they are looked at."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

TokenIds = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class BlockTokens:
    """A sequence of tokens, made when it is looked at: each token of a block is the block's number.

    Different numbers make different tokens and equal ones equal tokens, so that sequences share a prefix where their
    blocks do. The tokens are those of `blocks`, each `block_size` long, the last one repeated as often as needed,
    without the first `skip`. `listed` are the blocks as the trace lists them (a prompt's; of a reply None).
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
        """The blocks that a prompt asks for, a partial last one too: those listed, else its own."""
        return self.first_blocks(-(-self.length // self.block_size)) if self.listed is None else self.listed


@dataclass(frozen=True, slots=True, eq=False)
class JoinedTokens(BlockTokens):
    """Sequences one after another, whose ends need not be ends of blocks.

    The tokens are those of `pieces`. `blocks` number the blocks of the whole, from the one on in which the first token
    stands as its token number `skip`: equal numbers are equal tokens.
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
"""Token ids: an array, or something that becomes one."""
