"""What the sizes of an engine must be to one another."""

from typing import Annotated

from pydantic import Field

from cachelab.errors import ConfigError
from cachelab.request import Schedule

MOST_BLOCKS = 1 << 24
"""The most blocks of an engine on vLLM, which holds a Python object for each: 3 GB of them."""

VllmBlocks = Annotated[int, Field(gt=0, le=MOST_BLOCKS)]
BlockSize = Annotated[int, Field(gt=0, le=1 << 20)]
ModelLength = Annotated[int, Field(gt=0, le=1 << 30)]
Sequences = Annotated[int, Field(gt=0, le=1 << 20)]
GiB = Annotated[float, Field(ge=0, le=1 << 20, allow_inf_nan=False)]


def check_blocks(num_blocks: int, block_size: int, max_model_len: int) -> None:
    """One request of the greatest length must fit. Raises ConfigError that says which sizes would do."""
    needed = -(-max_model_len // block_size) + 1
    if num_blocks < needed:
        raise ConfigError(
            f"engine.num_blocks: {num_blocks} blocks cannot hold one request of max_model_len "
            f"{max_model_len}: set engine.num_blocks >= {needed} (one is vLLM's null block), "
            f"or engine.max_model_len <= {(num_blocks - 1) * block_size}"
        )


def model_length(schedule: Schedule, num_blocks: int, block_size: int) -> int:
    """The max_model_len that rejects as few as can be: the longest request's tokens, or as many as the cache holds."""
    longest = max((len(request.prompt_ids) + max(1, len(request.reply_ids)) for request in schedule), default=1)
    return min(longest, (num_blocks - 1) * block_size)


def check_batch(max_num_batched_tokens: int, max_num_seqs: int) -> None:
    """Each running sequence needs a token a step. Raises ConfigError."""
    if max_num_batched_tokens < max_num_seqs:
        raise ConfigError(
            f"engine.max_num_batched_tokens: {max_num_batched_tokens} is below engine.max_num_seqs "
            f"{max_num_seqs}: each running sequence needs a token a step"
        )
