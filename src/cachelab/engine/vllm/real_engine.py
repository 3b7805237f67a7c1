"""vLLM with a real model: what its backends have in common."""

import re
from collections.abc import Mapping
from dataclasses import field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from cachelab.engine.base import EngineRun, Progress
from cachelab.engine.history import MEANINGS, HistoryName, history
from cachelab.engine.sizes import BlockSize, GiB, ModelLength, Sequences, VllmBlocks, check_batch, check_blocks
from cachelab.engine.vllm import core as vllm_core
from cachelab.engine.vllm.clock import WallClock
from cachelab.engine.vllm.driver import Driver
from cachelab.engine.vllm.extra_args import OF_A_MODEL, SETTINGS, check_extra_args
from cachelab.engine.vllm.host_tier import offloading_args
from cachelab.errors import ConfigError, EngineError
from cachelab.model.source import TINY, find_model
from cachelab.request import Schedule
from cachelab.strict_config import STRICT, Count, FilePath, Text

if TYPE_CHECKING:
    from vllm.v1.engine.core import EngineCore


Dtype = Literal["auto", "bfloat16", "float16", "float32"]
MemoryBytes = Annotated[int, Field(gt=0, le=1 << 50)]


@dataclass(frozen=True, config=STRICT)
class VllmEngine:
    """What both backends take: forward passes of `model`, wall-clock seconds, greedy decoding.

    `model` is `tiny`, a folder or a hub id. `num_blocks` is vLLM's count, its null block included (None: as many as
    the KV memory holds). A reply is `min(recorded length, max_output_tokens)` tokens, end-of-sequence ignored. `args`
    are further fields of vLLM's EngineArgs.
    """

    model: Text = TINY
    block_size: BlockSize = 16
    max_model_len: ModelLength = 8192
    max_num_seqs: Sequences = 8
    num_blocks: VllmBlocks | None = None
    max_num_batched_tokens: Count = 8192
    enable_prefix_caching: bool = True
    dtype: Dtype = "auto"
    tensor_parallel_size: Annotated[int, Field(gt=0, le=1024)] = 1
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1)] = 0.9
    kv_cache_memory_bytes: MemoryBytes | None = None
    enforce_eager: bool = False
    max_output_tokens: Count | None = None
    history: HistoryName = "recorded"
    host_cache_gib: GiB = 0.0
    offload_prompt_only: bool = True
    model_cache_dir: FilePath | None = None
    args: dict[str, Any] = field(default_factory=dict)

    backend: ClassVar[str]
    block_size_step: ClassVar[int]
    memory_key: ClassVar[str]

    def __post_init__(self) -> None:
        check_extra_args(self.args, {**SETTINGS, **OF_A_MODEL})
        if self.block_size % self.block_size_step:
            step = self.block_size_step
            raise ConfigError(
                f"engine.block_size: vLLM's {self.backend} backend computes with multiples of {step} "
                f"({step}, {2 * step}, {3 * step}, ...), got {self.block_size}: set one of these, or take engine=sim, "
                "which takes any"
            )
        if self.num_blocks is not None:
            check_blocks(self.num_blocks, self.block_size, self.max_model_len)
        check_batch(self.max_num_batched_tokens, self.max_num_seqs)

    @property
    def name(self) -> str:
        return self.backend

    @cached_property
    def version(self) -> str | None:
        return vllm_core.vllm_version()

    def run(self, schedule: Schedule, progress: Progress) -> EngineRun:
        """Run the schedule on a fresh engine core. Raises EngineError if the model or vLLM refuses."""
        self.prepare()
        largest = _largest_token_id(schedule)
        core = self._build(find_model(self.model, self.model_cache_dir, largest))
        try:
            self._check_vocabulary(vllm_core.vocabulary_size(core), largest)
            vllm_core.warm_up(core)
            usage = [0.0]
            vllm_core.after_each_schedule(core, lambda: usage.append(max(usage.pop(), vllm_core.kv_usage(core))))
            driver = Driver(
                core,
                WallClock(),
                self.max_model_len,
                progress,
                lambda: usage[-1],
                max_output_tokens=self.max_output_tokens,
                history=history(self.history),
            )
            return replace(driver.run(schedule), notes=(MEANINGS[self.history],))
        finally:
            vllm_core.close(core)

    def prepare(self) -> None:
        """Get the machine ready. Raises EngineError if it lacks what the backend needs."""
        raise NotImplementedError

    def engine_args(self, model: str) -> dict[str, Any]:
        """The fields of vLLM's EngineArgs for this engine."""
        return {
            "model": model,
            "skip_tokenizer_init": True,
            "use_tqdm_on_load": False,
            "async_scheduling": False,  # a step's outputs belong to that step, as in the sim
            "dtype": self.dtype,
            "enforce_eager": self.enforce_eager,
            "tensor_parallel_size": self.tensor_parallel_size,
            "gpu_memory_utilization": self.gpu_memory_utilization,
            "kv_cache_memory_bytes": self.kv_cache_memory_bytes,
            "block_size": self.block_size,
            "max_model_len": self.max_model_len,
            "max_num_seqs": self.max_num_seqs,
            "num_gpu_blocks_override": self.num_blocks,
            "max_num_batched_tokens": self.max_num_batched_tokens,
            "enable_prefix_caching": self.enable_prefix_caching,
            **offloading_args(self.host_cache_gib, self.offload_prompt_only),
            **(self.forcing_args() if self.history == "forced" else {}),
        } | self.args

    def forcing_args(self) -> Mapping[str, Any]:
        """What makes vLLM emit a recorded reply."""
        raise NotImplementedError

    def _build(self, model: str) -> "EngineCore":
        try:
            return vllm_core.build_core(self.engine_args(model))
        except EngineError as error:
            if longest := re.search(r"estimated maximum model length is (\d+)", str(error)):
                raise EngineError(
                    f"{self.memory_key}: the KV memory does not hold one request of max_model_len "
                    f"{self.max_model_len}: set it higher, or engine.max_model_len <= {longest[1]}"
                ) from error
            raise

    def _check_vocabulary(self, size: int, largest: int) -> None:
        if largest >= size:
            raise EngineError(
                f"engine.model {self.model}: its vocabulary has {size:,} tokens, the requests hold token id "
                f"{largest:,}: take the model's own tokenizer (tokenizer=huggingface)"
            )


def _largest_token_id(schedule: Schedule) -> int:
    return max(
        (int(np.max(ids)) for request in schedule for ids in (request.prompt_ids, request.reply_ids) if len(ids)),
        default=0,
    )
