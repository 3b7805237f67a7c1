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
    their blocks do. The tokens are those of `blocks`, each `block_size` long, then those of `own`, repeated as often as
    needed, without the first `skip` tokens. Without `own` the last of `blocks` is repeated. `listed`: the blocks that
    the trace lists for a prompt; None for a reply. Shapes: blocks (num_blocks,), at least one if there is no `own`;
    listed (ceil(length / block_size),).
    """

    blocks: TokenIds
    block_size: int
    length: int
    skip: int = 0
    listed: TokenIds | None = None
    own: int | None = None

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
        last = self.blocks[-1] if self.own is None else self.own
        return np.concatenate([self.blocks, np.full(number - len(self.blocks), last, np.int32)])

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


def joined(first: AnyTokens, second: AnyTokens) -> TokenIds:
    """The two sequences, one after the other. Neighbouring parts of one array are not copied."""
    if (base := part_of(first)) is not None and follows(first, second):
        start = start_in(first, base)
        part: TokenIds = base[start : start + len(first) + len(second)]
        return part
    return np.concatenate([first, second])


def follows(first: AnyTokens, second: AnyTokens) -> bool:
    """Whether both are parts of one array, the second directly after the first."""
    base = part_of(first)
    return base is not None and part_of(second) is base and start_in(first, base) + len(first) == start_in(second, base)


def part_of(tokens: AnyTokens) -> TokenIds | None:
    """The one-dimensional int32 array of which the tokens are a contiguous part; None if there is none."""
    if not isinstance(tokens, np.ndarray) or not isinstance(base := tokens.base, np.ndarray):
        return None
    plain = base.dtype == np.int32 and base.ndim == 1 and base.flags.c_contiguous and tokens.strides == (4,)
    return base if plain else None


def start_in(tokens: AnyTokens, base: TokenIds) -> int:
    """The index in `base` at which tokens that are a part of it start."""
    assert isinstance(tokens, np.ndarray)
    return (_address(tokens) - _address(base)) // base.itemsize


def common_prefix(a: TokenIds, b: TokenIds) -> int:
    """The number of leading tokens that a and b share."""
    n = min(len(a), len(b))
    differs = np.nonzero(a[:n] != b[:n])[0]
    return int(differs[0]) if len(differs) else n


def _address(array: TokenIds) -> int:
    address: int = array.__array_interface__["data"][0]
    return address
