"""vLLM with a real model on a CPU or on NVIDIA GPUs, in this process."""

import os
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from cachelab.engine.sizes import BlockSize
from cachelab.engine.vllm import core as vllm_core
from cachelab.engine.vllm.host_tier import GIB
from cachelab.engine.vllm.real_engine import MemoryBytes, VllmEngine
from cachelab.errors import ConfigError, EngineError
from cachelab.model.tiny_model import TINY_NAMES
from cachelab.strict_config import STRICT


@dataclass(frozen=True, config=STRICT)
class CpuEngine(VllmEngine):
    """Real forward passes on the CPU.

    `num_threads` None means one thread for a tiny model, which more threads only slow down, and all cores for other
    models. The KV memory is `kv_cache_memory_bytes`; where that is None, the share `gpu_memory_utilization` of the
    machine's memory. vLLM's CPU backend has no host tier.
    """

    block_size: BlockSize = 32
    kv_cache_memory_bytes: MemoryBytes | None = GIB
    enforce_eager: bool = True
    num_threads: Annotated[int, Field(gt=0, le=4096)] | None = None

    backend: ClassVar[str] = "cpu"
    block_size_step: ClassVar[int] = 32
    memory_key: ClassVar[str] = "engine.kv_cache_memory_bytes"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.host_cache_gib:
            raise ConfigError(
                "engine.host_cache_gib: vLLM's cpu backend has no host tier (its KV offloading runs on CUDA-alike and "
                "XPU devices): set it to 0, or use engine=sim or engine=cuda"
            )

    def prepare(self) -> None:
        """Set the number of compute threads of torch and vLLM in this process."""
        if (found := vllm_core.backend()) != "cpu":
            raise EngineError(
                f"engine=cpu: the installed vLLM {self.version} uses {found or 'no device that it found'}, not the "
                "CPU: install cachelab[cpu] in a separate environment, or use engine=cuda or engine=sim"
            )
        from torch import _C

        # vLLM's CPU worker replaces torch.set_num_threads with a function that does nothing.
        _C.set_num_threads(self.num_threads or (1 if self.model in TINY_NAMES else len(os.sched_getaffinity(0))))

    def forcing_args(self) -> Mapping[str, Any]:
        from cachelab.engine.vllm.teacher_forcing import TeacherForcing

        return {"logits_processors": [TeacherForcing]}


@dataclass(frozen=True, config=STRICT)
class CudaEngine(VllmEngine):
    """Real forward passes on NVIDIA GPUs. `host_cache_gib` turns on vLLM's KV offloading to main memory."""

    backend: ClassVar[str] = "cuda"
    block_size_step: ClassVar[int] = 16
    memory_key: ClassVar[str] = "engine.gpu_memory_utilization (or engine.kv_cache_memory_bytes)"

    def prepare(self) -> None:
        """Check that the machine has a GPU and enough memory for the host tier."""
        machine_gib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / GIB
        if self.host_cache_gib > machine_gib:
            raise EngineError(
                f"engine.host_cache_gib: {self.host_cache_gib:g} GiB is more than this machine's {machine_gib:.1f} GiB "
                "of memory: set less"
            )
        if vllm_core.backend() != "cuda":
            raise EngineError(
                f"engine=cuda: vLLM {self.version} finds no NVIDIA GPU: run on a machine with a GPU, its driver "
                "and cachelab[cuda], or use engine=cpu (real model) or engine=sim (exact blocks, no model)"
            )

    def forcing_args(self) -> Mapping[str, Any]:
        return {"enable_trace_replay": True}  # vLLM's own, on its model runner V2
