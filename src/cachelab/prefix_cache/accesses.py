"""What a cache sees of a workload: for each request, in order, the blocks that it looks up and leaves."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]

CountingRules = Literal["vllm", "trace"]
"""How blocks are counted.

`vllm`: full blocks only, of a prompt at most prompt_tokens - 1 tokens; a request leaves the full blocks of its prompt
and of its reply but for the last token, and holds a blank slot for the rest while it runs.
`trace`: as tools for block traces count: every listed block of the prompt, the last one with its real size; no rule
for the last token; replies leave nothing.
"""


@dataclass(frozen=True, slots=True, eq=False)
class BlockAccesses:
    """Flat arrays over the requests in the order in which they run.

    Request i's blocks are `blocks[offsets[i]:offsets[i + 1]]`, numbered from 0 below `num_ids`, a block's number naming
    its ancestors too. The first `lookups[i]` of them may be hit, `prompt_blocks[i]` are the prompt's (what hits are
    divided by), and `tails[i]` further slots are held while it runs. Shapes: blocks (num_accesses,), offsets
    (num_requests + 1,), the others (num_requests,).
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
        """Under vLLM's rules: `blocks` are the full blocks of each request's computed tokens, concatenated."""
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
        """Under the rules of traces: `blocks` are the listed blocks of each prompt, concatenated."""
        listed = np.diff(offsets)
        none = np.zeros(len(listed), np.int64)
        return cls("trace", block_size, num_ids, blocks, offsets, listed, none, listed, prompt_tokens)

    @property
    def num_requests(self) -> int:
        return len(self.lookups)

    @property
    def most_slots(self) -> int:
        """Slots of the request that needs most."""
        return int((np.diff(self.offsets) + self.tails).max(initial=0))

    def cached_tokens(self, hit_blocks: Int64s) -> Int64s:
        """Tokens of the first `hit_blocks` blocks of each request; the last block of a prompt may be partial."""
        return np.minimum(hit_blocks * self.block_size, self.prompt_tokens)

    def known_blocks(self) -> Int64s:
        """Leading blocks of each request that an earlier one left: an infinite cache holds these."""
        from cachelab.prefix_cache.kernels.reuse_distance import known_blocks

        known: Int64s = known_blocks(self.blocks, self.offsets, self.num_ids)
        return known

    def ideal_hit_blocks(self) -> Int64s:
        """Blocks that each request would hit in an infinite cache."""
        return np.minimum(self.known_blocks(), self.lookups)


def lru_hit_blocks(accesses: BlockAccesses, num_blocks: int) -> Int64s:
    """Hit blocks of each request in a cache of `num_blocks` usable blocks, by vLLM's least recently used eviction.

    Under vLLM's rules the cache must have room for each request alone. Shape: (num_requests,).
    """
    from cachelab.prefix_cache.kernels.lru import replay

    hits: Int64s = replay(
        accesses.blocks, accesses.offsets, accesses.lookups, accesses.tails, accesses.num_ids, num_blocks
    )
    return hits
