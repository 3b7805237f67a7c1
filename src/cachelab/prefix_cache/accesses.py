"""The block accesses of a workload: for each request, in order, the blocks that it looks up and leaves in the cache."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]

CountingRules = Literal["vllm", "trace"]
"""How blocks are counted.

`vllm`: only full blocks are reused, and at most prompt_tokens - 1 tokens of a prompt. A request leaves the full blocks
of its prompt and of its reply without the last token. While it runs, it also holds a blank slot for the partial block.
`trace`: as other tools for block traces count. Every listed block of the prompt is reused, the last one with its real
size and with no rule for the last token. Replies leave nothing.
"""


@dataclass(frozen=True, slots=True, eq=False)
class BlockAccesses:
    """Flat arrays over the requests in the order in which they run.

    `blocks`: int32, shape (num_accesses,). Request i has the block ids `blocks[offsets[i]:offsets[i + 1]]`, each from 0
    to `num_ids` - 1. Equal ids mean equal blocks with equal ancestors. `offsets`: int64, shape (num_requests + 1,). The
    other arrays are int64 of shape (num_requests,): at most the first `lookups[i]` blocks of request i can be hit;
    `prompt_blocks[i]` is the denominator of its hit rate; it holds `tails[i]` blank slots while it runs.
    `prompt_tokens[i]` is its prompt's length in tokens.
    """

    rules: CountingRules
    block_size: int
    num_ids: int
    blocks: Int32s
    offsets: Int64s
    lookups: Int64s
    tails: Int64s
    prompt_blocks: Int64s
    prompt_tokens: Int64s

    @classmethod
    def vllm(
        cls, blocks: Int32s, num_ids: int, prompt_tokens: Int64s, computed_tokens: Int64s, block_size: int
    ) -> "BlockAccesses":
        """By vLLM's rules. `blocks`: the ids of the full blocks of all requests' computed tokens, concatenated.

        `prompt_tokens` and `computed_tokens` (prompt and reply without its last token) have shape (num_requests,).
        """
        full = computed_tokens // block_size
        return cls(
            rules="vllm",
            block_size=block_size,
            num_ids=num_ids,
            blocks=blocks,
            offsets=np.concatenate([np.zeros(1, np.int64), np.cumsum(full)]),
            lookups=(prompt_tokens - 1) // block_size,
            tails=-(-computed_tokens // block_size) - full,
            prompt_blocks=prompt_tokens // block_size,
            prompt_tokens=prompt_tokens,
        )

    @classmethod
    def listed(
        cls, blocks: Int32s, offsets: Int64s, num_ids: int, prompt_tokens: Int64s, block_size: int
    ) -> "BlockAccesses":
        """By the rules of block traces. `blocks`: the ids of the listed blocks of all prompts, concatenated.

        `offsets` has shape (num_requests + 1,), `prompt_tokens` (num_requests,).
        """
        listed = np.diff(offsets)
        none = np.zeros(len(listed), np.int64)
        return cls("trace", block_size, num_ids, blocks, offsets, listed, none, listed, prompt_tokens)

    @property
    def num_requests(self) -> int:
        return len(self.lookups)

    @property
    def cache_arguments(self) -> tuple[Int32s, Int64s, Int64s, Int64s, int]:
        """Blocks, offsets, lookups, tails and the number of ids: the first arguments of the kernels of a cache."""
        return self.blocks, self.offsets, self.lookups, self.tails, self.num_ids

    @property
    def most_slots(self) -> int:
        """The largest number of slots that one request holds while it runs."""
        return int((np.diff(self.offsets) + self.tails).max(initial=0))

    def cached_tokens(self, hit_blocks: Int64s) -> Int64s:
        """The tokens in the first `hit_blocks` blocks of each request; the last block of a prompt can be partial.

        Shape of the argument and of the result: (..., num_requests).
        """
        return np.minimum(hit_blocks * self.block_size, self.prompt_tokens)

    def blocks_of(self, request: int) -> Int32s:
        """The block ids of one request, first block first."""
        return self.blocks[self.offsets[request] : self.offsets[request + 1]]

    def reordered(self, order: Sequence[int]) -> "BlockAccesses":
        """The same requests in another order: first that with the index `order[0]`, and so on."""
        index = np.asarray(order, np.int64)
        lengths = np.diff(self.offsets)[index]
        none = np.empty(0, np.int32)
        return replace(
            self,
            blocks=np.concatenate([none, *(self.blocks_of(request) for request in order)]),
            offsets=np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)]),
            lookups=self.lookups[index],
            tails=self.tails[index],
            prompt_blocks=self.prompt_blocks[index],
            prompt_tokens=self.prompt_tokens[index],
        )

    def known_blocks(self) -> Int64s:
        """Leading blocks of each request that an earlier request left in an unlimited cache. Shape: (num_requests,)."""
        from cachelab.prefix_cache.kernels.reuse_distance import known_blocks

        known: Int64s = known_blocks(self.blocks, self.offsets, self.num_ids)
        return known

    def ideal_hit_blocks(self) -> Int64s:
        """Blocks that each request hits in an unlimited cache. Shape: (num_requests,)."""
        return np.minimum(self.known_blocks(), self.lookups)


def lru_hit_blocks(accesses: BlockAccesses, num_blocks: int) -> Int64s:
    """Hit blocks of each request in a cache of `num_blocks` usable blocks with vLLM's LRU eviction.

    By vLLM's rules `num_blocks` must be at least `accesses.most_slots`. Shape: (num_requests,).
    """
    return _lru(accesses, num_blocks, evictors=False)[0]


def lru_reaches(accesses: BlockAccesses, num_blocks: int, ideal: Int64s, wanted: int) -> bool:
    """Whether that cache hits at least `wanted` blocks. `ideal`: what ideal_hit_blocks returns."""
    from cachelab.prefix_cache.kernels import lru

    return bool(lru.lru_reaches(*accesses.cache_arguments, num_blocks, ideal, wanted))


def lru_evictions(accesses: BlockAccesses, num_blocks: int) -> tuple[Int64s, Int32s]:
    """The same hit blocks, and which request evicted the first block that a request looked up and missed.

    The second array has the index of that request, or -1 if the block had not been in the cache. Shape of both:
    (num_requests,).
    """
    return _lru(accesses, num_blocks, evictors=True)


def _lru(accesses: BlockAccesses, num_blocks: int, *, evictors: bool) -> tuple[Int64s, Int32s]:
    from cachelab.prefix_cache.kernels.lru import lru_hits

    found: tuple[Int64s, Int32s] = lru_hits(*accesses.cache_arguments, num_blocks, evictors)
    return found
