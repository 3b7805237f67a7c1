"""The simulator: vLLM's own engine core, scheduler and KV-cache manager without a model."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from cachelab.engine.base import EngineRun, Progress
from cachelab.engine.history import SIMULATED_NOTES, HistoryName, history
from cachelab.engine.kv_layout import GiB
from cachelab.engine.kv_memory import kv_bytes
from cachelab.engine.sizes import EngineSizes, VllmBlocks, longest_request, model_length
from cachelab.engine.step_cost import StepCost, check_clock
from cachelab.engine.table_cost import AnyCost
from cachelab.engine.vllm import core as vllm_core
from cachelab.engine.vllm.clock import SimulatedTimeline
from cachelab.engine.vllm.driver import Driver
from cachelab.engine.vllm.extra_args import NOT_SIMULATED, SETTINGS, check_extra_args
from cachelab.engine.vllm.host_tier import HostGiB, check_host_blocks, offloading_args
from cachelab.engine.vllm.hybrid_blocks import Platform
from cachelab.engine.vllm.model_specs import ModelLayers
from cachelab.errors import ConfigError, EngineError
from cachelab.model.kv_model import KvModel
from cachelab.model.layer_group import LayerGroups
from cachelab.request import Schedule
from cachelab.strict_config import STRICT, Count, FilePath

if TYPE_CHECKING:
    from vllm.v1.engine.core import EngineCore

    from cachelab.engine.vllm.recorded_executor import RecordedExecutor

DEFAULT_BLOCKS = 10_000
"""The number of blocks if neither a number nor a memory is given, vLLM's null block included."""


@dataclass(frozen=True, config=STRICT)
class SimEngine(EngineSizes):
    """Exact block accounting at any block size; the seconds are simulated, from `cost`.

    `layers`: the model's layers, in groups. `model`: a config.json, its folder or an id on the hub, from which vLLM's
    own layers of that model say what they keep (`kv_cache_dtype`: as in vLLM). vLLM's own code decides which layers
    share blocks. Without both the model has full-attention layers of `kv_model`. `platform` decides the block size
    of models with recurrent states.
    `tensor_parallel_size` divides the heads; the sizes are then those of one GPU.

    The cache has `num_blocks` blocks, or as many as `kv_cache_gib` holds, or as many as `gpu_memory_gib` holds after
    `weights_gib`; at most one of these is given. `gpu_memory_utilization` is the share of `gpu_memory_gib` that is
    used. `at_gib`: further memories with which the schedule runs too, as points of a curve by size.

    `decode`: `token` emits a reply token by token. `jump` emits it in two steps, which is exact only with
    `max_num_seqs=1`, no host tier (a small host tier refuses many blocks at once that it accepts one by one) and
    full-attention layers only. `auto` jumps where that is exact. `max_output_tokens` cuts every reply.
    `host_cache_gib` turns on vLLM's KV offloading, whose transfers take no simulated time. `kv_model` sets how many
    blocks fit in one GiB. `args` are further fields of vLLM's EngineArgs, such as `scheduling_policy`. With
    `max_model_len` None only requests that the cache cannot hold are rejected. The sizes are described in EngineSizes.
    """

    num_blocks: VllmBlocks | None = None
    kv_cache_gib: GiB | None = None
    gpu_memory_gib: GiB | None = None
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1)] = 0.92
    weights_gib: Annotated[float, Field(ge=0, le=1 << 20, allow_inf_nan=False)] = 0.0
    at_gib: Annotated[list[GiB], Field(max_length=100)] = field(default_factory=list)
    layers: LayerGroups | None = None
    model: FilePath | None = None
    model_cache_dir: FilePath | None = None
    kv_cache_dtype: Literal["auto", "fp8"] = "auto"
    platform: Platform = "cuda"
    tensor_parallel_size: Annotated[int, Field(gt=0, le=1024)] = 1
    enable_prefix_caching: bool = True
    max_output_tokens: Count | None = None
    history: HistoryName = "recorded"
    decode: Literal["auto", "token", "jump"] = "auto"
    host_cache_gib: HostGiB = 0.0
    offload_prompt_only: bool = True
    kv_model: KvModel = field(default_factory=KvModel)
    cost: AnyCost = field(default_factory=StepCost)
    args: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_extra_args(self.args, SETTINGS, NOT_SIMULATED)
        if self.kv_bytes is None and self.num_blocks is None:
            object.__setattr__(self, "num_blocks", DEFAULT_BLOCKS)
        if self.kv_bytes is not None and self.num_blocks is not None:
            raise ConfigError(
                f"engine.num_blocks: {self.num_blocks}, but the memory is also given (engine.kv_cache_gib or "
                "engine.gpu_memory_gib): set engine.num_blocks=null"
            )
        if self.layers is not None and self.model is not None:
            raise ConfigError("engine.layers: engine.model, which has layers of its own, is also set: set one of them")
        if self.model is None and self.kv_cache_dtype != "auto":
            raise ConfigError("engine.kv_cache_dtype: it belongs to engine.model: state dtype in each of engine.layers")
        if self.is_plain:
            self.check_sizes()
            check_host_blocks(self.host_cache_gib, self.kv_model.bytes_per_token * self.block_size)
        elif self.host_cache_gib:
            raise ConfigError(
                "engine.host_cache_gib: a host tier is simulated without engine.layers and engine.model: set it to 0"
            )
        if self.decode == "jump" and not self.may_jump:
            raise ConfigError(
                "engine.decode: jump is exact only with engine.max_num_seqs=1, without a host tier and without "
                "engine.layers and engine.model: use auto"
            )

    @cached_property
    def kv_bytes(self) -> int | None:
        """The memory for the KV cache in bytes; None if the number of blocks is given."""
        return kv_bytes(self.kv_cache_gib, self.gpu_memory_gib, self.gpu_memory_utilization, self.weights_gib)

    @property
    def is_plain(self) -> bool:
        """Whether the model has full-attention layers only, those of `kv_model`."""
        return self.layers is None and self.model is None

    @property
    def may_jump(self) -> bool:
        """Whether a reply emitted in two steps leaves the same blocks as one emitted token by token."""
        return self.max_num_seqs == 1 and not self.host_cache_gib and self.is_plain

    @property
    def name(self) -> str:
        return "sim"

    @cached_property
    def version(self) -> str | None:
        return vllm_core.vllm_version()

    def run(self, schedule: Schedule, progress: Progress) -> EngineRun:
        """Run the schedule on a new engine core. Raises EngineError if vLLM refuses the arguments."""
        run = self._run(schedule, progress)
        points = [self._with_memory(gib)._run(schedule, lambda ended: None) for gib in self.at_gib]
        return replace(run, comparison_runs=points)

    def _with_memory(self, gib: float) -> "SimEngine":
        return replace(self, at_gib=[], num_blocks=None, kv_cache_gib=gib, gpu_memory_gib=None, weights_gib=0.0)

    def _run(self, schedule: Schedule, progress: Progress) -> EngineRun:
        with self.drivers(schedule, 1, progress) as (driver,):
            return replace(driver.run(schedule), notes=self.notes(driver))

    @contextmanager
    def drivers(self, schedule: Schedule, number: int, progress: Progress) -> Iterator[list[Driver]]:
        """Drivers of new engine cores, which are closed at the end of the context.

        The drivers share the prompts' history, the records, the order of submission and the cost model's clock, which
        counts the steps of all of them. Raises EngineError if vLLM refuses the arguments, ConfigError if the simulated
        clock of a driver has overflowed.
        """
        cores: list[EngineCore] = []
        try:
            core, max_model_len = self.build(schedule)
            cores.append(core)
            while len(cores) < number:
                cores.append(self._core(max_model_len))
            first = self._driver(core, max_model_len, progress)
            drivers = [first]
            for other in cores[1:]:
                driver = self._driver(other, max_model_len, progress)
                driver.history, driver.records, driver.submitted = first.history, first.records, first.submitted
                driver.ran = first.ran
                other.model_executor.cost = core.model_executor.cost
                drivers.append(driver)
            yield drivers
            for driver in drivers:
                check_clock(driver.timeline.now_ns())
        finally:
            for core in reversed(cores):
                vllm_core.close(core)

    def _driver(self, core: "EngineCore", max_model_len: int, progress: Progress) -> Driver:
        executor: RecordedExecutor = core.model_executor
        executor.cost = self.cost.clock()
        executor.jump = self.may_jump and self.decode != "token"
        executor.observe_usage = lambda: vllm_core.kv_usage(core)
        return Driver(
            core,
            SimulatedTimeline(executor),
            max_model_len,
            progress,
            lambda: executor.kv_usage_max,
            max_output_tokens=self.max_output_tokens,
            history=history(self.history),
            plain_block_size=self.block_size,
        )

    def notes(self, driver: Driver) -> tuple[str, ...]:
        """What readers of the numbers must know."""
        return (SIMULATED_NOTES[self.history], *self._assumptions(), *driver.core.model_executor.cost.notes)

    def _assumptions(self) -> tuple[str, ...]:
        if self.model is None:
            return ()
        return (
            f"The KV-cache layout is that of vLLM's own layers of engine.model, with block sizes of {self.platform}. "
            "The format of the weights is left out: it does not change the layout.",
        )

    def build(self, schedule: Schedule) -> "tuple[EngineCore, int]":
        """An engine core for the schedule, and its `max_model_len`. Raises EngineError if vLLM refuses."""
        if self.max_model_len is not None:
            return self._core(self.max_model_len), self.max_model_len
        if self.is_plain and self.num_blocks is not None:
            length = model_length(schedule, self.num_blocks, self.block_size)
        else:
            length = longest_request(schedule)
        try:
            return self._core(length), length
        except EngineError as error:  # vLLM says how long the longest request can be that the cache holds
            if (found := re.search(r"estimated maximum model length is (\d+)", str(error))) is None:
                raise
            return self._core(int(found[1])), int(found[1])

    def _core(self, max_model_len: int) -> "EngineCore":
        from cachelab.engine.vllm.layer_specs import plain_specs, specs_of
        from cachelab.engine.vllm.recorded_executor import RecordedExecutor
        from cachelab.engine.vllm.spec_file import from_json

        args = self.engine_args(max_model_len)
        if self.model is not None:
            found = self._model_layers(max_model_len)
            args |= {"mamba_cache_mode": found["mamba_cache_mode"]}
            specs = from_json(found["specs"], found["layers"])
            return vllm_core.build_core(args, RecordedExecutor.of(specs, self.kv_bytes, found["layouts"]))
        if self.layers is None:
            specs = plain_specs(self.kv_model, self.block_size)
        else:
            mode = args["mamba_cache_mode"]
            size, parallel = self.block_size, self.tensor_parallel_size
            specs = specs_of(self.layers, size, max_model_len, mode, self.platform, parallel)
        return vllm_core.build_core(args, RecordedExecutor.of(specs, self.kv_bytes))

    def _model_layers(self, max_model_len: int) -> dict[str, Any]:
        assert self.model is not None
        return ModelLayers(
            self.model,
            self.platform,
            self.block_size,
            # It is the block of a recurrent state where prefix caching is off, and matters nowhere else.
            1 if self.enable_prefix_caching else max_model_len,
            self.enable_prefix_caching,
            self.kv_cache_dtype,
            self.tensor_parallel_size,
        ).read(self.model_cache_dir)

    def engine_args(self, max_model_len: int | None = None) -> dict[str, Any]:
        """The fields of vLLM's EngineArgs for this engine."""
        # vLLM's rule for models with recurrent states (`model_executor/models/config.py`).
        recurrent = any(group.kind == "mamba" for group in self.layers or ())
        return {
            "model": str(Path(__file__).with_name("sim_model")),
            "skip_tokenizer_init": True,
            "load_format": "dummy",
            "dtype": "float32",
            "enforce_eager": True,
            "async_scheduling": False,
            **self.vllm_sizes(),
            "max_model_len": max_model_len or self.max_model_len,
            "mamba_cache_mode": "align" if recurrent and self.enable_prefix_caching else "none",
            "enable_prefix_caching": self.enable_prefix_caching,
            **offloading_args(self.host_cache_gib, self.offload_prompt_only),
        } | self.args
