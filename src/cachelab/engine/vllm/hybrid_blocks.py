"""How many tokens a block has in a model with recurrent states, as vLLM decides for a platform.

Source: vLLM 0.32, `vllm/platforms/interface.py` (`_align_hybrid_block_size`).
"""

from collections.abc import Mapping
from typing import Literal

Platform = Literal["cuda", "cpu"]

KERNEL_BLOCK: Mapping[Platform, int] = {"cuda": 16, "cpu": 32}
"""The smallest block of the attention kernels: FlashAttention's on CUDA, vLLM's own on a CPU. In tokens."""

MLA_BLOCK = 128
"""Blocks of MLA layers next to recurrent states are a multiple of this many tokens."""


def hybrid_block_size(
    block_size: int, state_bytes: int, bytes_per_token: int, platform: Platform = "cuda", has_mla: bool = False
) -> int:
    """The least block, in tokens, of attention layers whose page holds one state of `state_bytes` bytes.

    All pages of a pool have the same size. A state cannot be divided, so the blocks of the attention layers grow.
    `bytes_per_token` are those of one attention layer, `block_size` is the size that was asked for.
    """
    step = max(KERNEL_BLOCK[platform], block_size, MLA_BLOCK if has_mla else 1)
    needed = step * -(-state_bytes // (step * bytes_per_token))
    kernel_block = KERNEL_BLOCK[platform]
    return max(block_size, kernel_block * -(-needed // kernel_block))
