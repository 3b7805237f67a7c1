"""The five sizes of an engine: their bounds, the rules between them, and their names in vLLM."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any

from pydantic import Field
from pydantic.dataclasses import dataclass

from cachelab.errors import ConfigError
from cachelab.request import Schedule
from cachelab.strict_config import STRICT, Count

MAX_VLLM_BLOCKS = 1 << 24
"""The most blocks of an engine that runs vLLM. vLLM keeps a Python object per block: 3 GB for this number."""

BlockSize = Annotated[int, Field(gt=0, le=1 << 20)]
ModelLength = Annotated[int, Field(gt=0, le=1 << 30)]
Sequences = Annotated[int, Field(gt=0, le=1 << 20)]
VllmBlocks = Annotated[int, Field(gt=0, le=MAX_VLLM_BLOCKS)]

VLLM_NAMES: Mapping[str, str] = {
    "block_size": "block_size",
    "max_model_len": "max_model_len",
    "max_num_seqs": "max_num_seqs",
    "num_blocks": "num_gpu_blocks_override",
    "max_num_batched_tokens": "max_num_batched_tokens",
}
"""Each size, and the field of vLLM's EngineArgs that sets it."""


@dataclass(frozen=True, config=STRICT)
class EngineSizes:
    """The sizes that every engine has.

    `block_size`: tokens per block. `max_model_len`: the most tokens of a prompt and its reply together. `max_num_seqs`:
    the most requests that run at once. `num_blocks`: KV-cache blocks, vLLM's null block included (None, real engines
    only: as many as the KV memory holds). `max_num_batched_tokens`: the most tokens that one scheduler step computes.
    """

    block_size: BlockSize = 16
    max_model_len: ModelLength | None = 8192
    max_num_seqs: Sequences = 8
    num_blocks: VllmBlocks | None = None
    max_num_batched_tokens: Count = 8192

    def sizes(self, **changes: int) -> dict[str, Any]:
        """The five sizes as keyword arguments of another engine, some of them changed."""
        return {field.name: getattr(self, field.name) for field in fields(EngineSizes)} | changes

    def vllm_sizes(self) -> dict[str, Any]:
        """The five sizes as fields of vLLM's EngineArgs."""
        return {vllm_name: getattr(self, name) for name, vllm_name in VLLM_NAMES.items()}

    def check_sizes(self) -> None:
        """Check that one request of the largest length fits. Raises ConfigError that names possible sizes."""
        needed = -(-(self.max_model_len or 1) // self.block_size) + 1
        if self.num_blocks is not None and self.num_blocks < needed:
            raise ConfigError(
                f"engine.num_blocks: {self.num_blocks} blocks cannot hold one request of max_model_len "
                f"{self.max_model_len}: set engine.num_blocks >= {needed} (one is vLLM's null block), "
                f"or engine.max_model_len <= {(self.num_blocks - 1) * self.block_size}"
            )
        if self.max_num_batched_tokens < self.max_num_seqs:
            raise ConfigError(
                f"engine.max_num_batched_tokens: {self.max_num_batched_tokens} is below engine.max_num_seqs "
                f"{self.max_num_seqs}: each running sequence needs one token per step"
            )


def model_length(schedule: Schedule, num_blocks: int, block_size: int) -> int:
    """The length (tokens of prompt and reply) of the longest request, but at most the size of the cache."""
    return min(longest_request(schedule), (num_blocks - 1) * block_size)


def longest_request(schedule: Schedule) -> int:
    """The tokens of the longest prompt and its reply together."""
    return max((len(request.prompt_ids) + max(1, len(request.reply_ids)) for request in schedule), default=1)
