"""vLLM with a real model: what the CPU and CUDA engines share."""

import re
from collections.abc import Mapping
from dataclasses import field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from cachelab.engine.base import EngineRun, Progress
from cachelab.engine.history import REAL_NOTES, HistoryName, history
from cachelab.engine.sizes import EngineSizes, ModelLength
from cachelab.engine.step_points import StepPoints
from cachelab.engine.vllm import core as vllm_core
from cachelab.engine.vllm.clock import WallClock
from cachelab.engine.vllm.driver import Driver
from cachelab.engine.vllm.extra_args import OF_A_MODEL, SETTINGS, check_extra_args
from cachelab.engine.vllm.host_tier import HostGiB, offloading_args
from cachelab.engine.vllm.schedule_run import run_schedule
from cachelab.engine.vllm.step_work import StepRecorder
from cachelab.errors import ConfigError, EngineError
from cachelab.model.source import find_model
from cachelab.request import Schedule
from cachelab.strict_config import STRICT, Count, FilePath, Text

if TYPE_CHECKING:
    from vllm.v1.engine.core import EngineCore

Dtype = Literal["auto", "bfloat16", "float16", "float32"]
MemoryBytes = Annotated[int, Field(gt=0, le=1 << 50)]


@dataclass(frozen=True, config=STRICT)
class VllmEngine(EngineSizes):
    """Forward passes of `model` with greedy decoding; times are wall-clock times.

    `model` is `tiny`, `tiny_window`, `tiny_state`, a folder or an id on the Hugging Face hub. A reply has
    `min(recorded length, max_output_tokens)` tokens; end-of-sequence is ignored. `kv_cache_memory_bytes` is in bytes,
    `host_cache_gib` in GiB. `record_steps` measures what each scheduler step computes and its seconds
    (EngineRun.steps). `args` are further fields of vLLM's EngineArgs. The sizes are described in EngineSizes.
    """

    model: Text = "tiny"
    max_model_len: ModelLength = 8192
    enable_prefix_caching: bool = True
    dtype: Dtype = "auto"
    tensor_parallel_size: Annotated[int, Field(gt=0, le=1024)] = 1
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1)] = 0.9
    kv_cache_memory_bytes: MemoryBytes | None = None
    enforce_eager: bool = False
    max_output_tokens: Count | None = None
    history: HistoryName = "recorded"
    host_cache_gib: HostGiB = 0.0
    offload_prompt_only: bool = True
    model_cache_dir: FilePath | None = None
    record_steps: bool = False
    args: dict[str, Any] = field(default_factory=dict)

    backend: ClassVar[str]
    block_size_step: ClassVar[int]
    memory_key: ClassVar[str]

    def __post_init__(self) -> None:
        check_extra_args(self.args, {**SETTINGS, **OF_A_MODEL})
        if self.block_size % self.block_size_step:
            step = self.block_size_step
            raise ConfigError(
                f"engine.block_size: vLLM's {self.backend} kernels support only multiples of {step} "
                f"({step}, {2 * step}, {3 * step}, ...), got {self.block_size}: set one of these, or use engine=sim, "
                "which supports every size"
            )
        self.check_sizes()

    @property
    def name(self) -> str:
        return self.backend

    @cached_property
    def version(self) -> str | None:
        return vllm_core.vllm_version()

    def run(self, schedule: Schedule, progress: Progress) -> EngineRun:
        """Run the schedule on a new engine core.

        Raises EngineError if the model is not found, or if vLLM refuses the arguments.
        """
        self.prepare()
        largest = _largest_token_id(schedule)
        core = self._build(find_model(self.model, self.model_cache_dir, largest))
        try:
            self._check_vocabulary(vllm_core.vocabulary_size(core), largest)
            vllm_core.warm_up(core)
            usage = [0.0]
            vllm_core.after_each_schedule(
                core, lambda scheduled: usage.append(max(usage.pop(), vllm_core.kv_usage(core)))
            )
            recorder = StepRecorder() if self.record_steps else None
            if recorder is not None:
                vllm_core.after_each_schedule(core, recorder.scheduled)
            driver = Driver(
                core,
                WallClock(),
                self.max_model_len,
                progress,
                lambda: usage[-1],
                max_output_tokens=self.max_output_tokens,
                history=history(self.history),
                on_step=None if recorder is None else recorder.ended,
            )
            run = run_schedule(driver, schedule)
            steps = None if recorder is None else StepPoints.of(recorder.steps)
            return replace(run, notes=(REAL_NOTES[self.history],), steps=steps)
        finally:
            vllm_core.close(core)

    def prepare(self) -> None:
        """Prepare the machine for the run. Raises EngineError if it lacks what the backend needs."""
        raise NotImplementedError

    def engine_args(self, model: str) -> dict[str, Any]:
        """The fields of vLLM's EngineArgs for this engine."""
        return {
            "model": model,
            "skip_tokenizer_init": True,
            "use_tqdm_on_load": False,
            "async_scheduling": False,  # a step returns its own outputs, as in the simulator
            "dtype": self.dtype,
            "enforce_eager": self.enforce_eager,
            "tensor_parallel_size": self.tensor_parallel_size,
            "gpu_memory_utilization": self.gpu_memory_utilization,
            "kv_cache_memory_bytes": self.kv_cache_memory_bytes,
            **self.vllm_sizes(),
            "enable_prefix_caching": self.enable_prefix_caching,
            **offloading_args(self.host_cache_gib, self.offload_prompt_only),
            **(self.forcing_args() if self.history == "forced" else {}),
        } | self.args

    def forcing_args(self) -> Mapping[str, Any]:
        """The fields of vLLM's EngineArgs that make the model emit the recorded reply."""
        raise NotImplementedError

    def _build(self, model: str) -> "EngineCore":
        try:
            return vllm_core.build_core(self.engine_args(model))
        except EngineError as error:
            if longest := re.search(r"estimated maximum model length is (\d+)", str(error)):
                key = self.memory_key if self.num_blocks is None else "engine.num_blocks"
                raise EngineError(
                    f"{key}: the KV memory cannot hold one request of max_model_len "
                    f"{self.max_model_len}: set it higher, or engine.max_model_len <= {longest[1]}"
                ) from error
            raise

    def _check_vocabulary(self, size: int, largest: int) -> None:
        if largest >= size:
            raise EngineError(
                f"engine.model {self.model}: its vocabulary has {size:,} tokens, but the requests contain token id "
                f"{largest:,}: use the model's own tokenizer (tokenizer=huggingface)"
            )


def _largest_token_id(schedule: Schedule) -> int:
    return max(
        (int(np.max(ids)) for request in schedule for ids in (request.prompt_ids, request.reply_ids) if len(ids)),
        default=0,
    )
