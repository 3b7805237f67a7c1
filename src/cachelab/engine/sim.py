"""The simulator: vLLM's own engine core, scheduler and KV-cache manager without a model."""

from dataclasses import field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic.dataclasses import dataclass

from cachelab.engine.base import EngineRun, Progress
from cachelab.engine.history import SIMULATED_NOTES, HistoryName, history
from cachelab.engine.sizes import EngineSizes, VllmBlocks, model_length
from cachelab.engine.step_cost import StepCost, check_clock
from cachelab.engine.vllm import core as vllm_core
from cachelab.engine.vllm.clock import SimulatedTimeline
from cachelab.engine.vllm.driver import Driver
from cachelab.engine.vllm.extra_args import NOT_SIMULATED, SETTINGS, check_extra_args
from cachelab.engine.vllm.host_tier import HostGiB, check_host_blocks, offloading_args
from cachelab.errors import ConfigError
from cachelab.model.kv_model import KvModel
from cachelab.request import Schedule
from cachelab.strict_config import STRICT, Count


@dataclass(frozen=True, config=STRICT)
class SimEngine(EngineSizes):
    """Exact block accounting at any block size; the seconds are simulated, from `cost`.

    `decode`: `token` emits a reply token by token. `jump` emits it in two steps, which is exact only with
    `max_num_seqs=1` and no host tier (a small host tier refuses many blocks at once that it accepts one by one). `auto`
    jumps where that is exact. `max_output_tokens` cuts every reply. `host_cache_gib` turns on vLLM's KV offloading,
    whose transfers take no simulated time. `kv_model` sets how many blocks fit in one GiB. `args` are further fields of
    vLLM's EngineArgs, such as `scheduling_policy`. With `max_model_len` None only requests that the cache cannot hold
    are rejected. The sizes are described in EngineSizes.
    """

    num_blocks: VllmBlocks = 10_000
    enable_prefix_caching: bool = True
    max_output_tokens: Count | None = None
    history: HistoryName = "recorded"
    decode: Literal["auto", "token", "jump"] = "auto"
    host_cache_gib: HostGiB = 0.0
    offload_prompt_only: bool = True
    kv_model: KvModel = field(default_factory=KvModel)
    cost: StepCost = field(default_factory=StepCost)
    args: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_extra_args(self.args, SETTINGS, NOT_SIMULATED)
        self.check_sizes()
        check_host_blocks(self.host_cache_gib, self.kv_model.bytes_per_token * self.block_size)
        if self.decode == "jump" and not self.may_jump:
            raise ConfigError(
                "engine.decode: jump is exact only with engine.max_num_seqs=1 and without a host tier: use auto"
            )

    @property
    def may_jump(self) -> bool:
        """Whether a reply emitted in two steps leaves the same blocks as one emitted token by token."""
        return self.max_num_seqs == 1 and not self.host_cache_gib

    @property
    def name(self) -> str:
        return "sim"

    @cached_property
    def version(self) -> str | None:
        return vllm_core.vllm_version()

    def run(self, schedule: Schedule, progress: Progress) -> EngineRun:
        """Run the schedule on a new engine core. Raises EngineError if vLLM refuses the arguments."""
        from cachelab.engine.vllm.recorded_executor import RecordedExecutor

        if self.max_model_len is None:
            longest = model_length(schedule, self.num_blocks, self.block_size)
            return replace(self, max_model_len=longest).run(schedule, progress)
        core = vllm_core.build_core(self.engine_args(), RecordedExecutor.of(self.kv_model))
        try:
            executor: RecordedExecutor = core.model_executor
            executor.cost = self.cost
            executor.jump = self.may_jump and self.decode != "token"
            executor.observe_usage = lambda: vllm_core.kv_usage(core)
            driver = Driver(
                core,
                SimulatedTimeline(executor),
                self.max_model_len,
                progress,
                lambda: executor.kv_usage_max,
                max_output_tokens=self.max_output_tokens,
                history=history(self.history),
            )
            run = driver.run(schedule)
            check_clock(executor.now_ns)
            counters = replace(run.counters, kv_bytes_per_token=self.kv_model.bytes_per_token)
            return replace(run, counters=counters, notes=(SIMULATED_NOTES[self.history],))
        finally:
            vllm_core.close(core)

    def engine_args(self) -> dict[str, Any]:
        """The fields of vLLM's EngineArgs for this engine."""
        return {
            "model": str(Path(__file__).with_name("sim_model")),
            "skip_tokenizer_init": True,
            "load_format": "dummy",
            "dtype": "float32",
            "enforce_eager": True,
            "async_scheduling": False,
            **self.vllm_sizes(),
            "enable_prefix_caching": self.enable_prefix_caching,
            **offloading_args(self.host_cache_gib, self.offload_prompt_only),
        } | self.args
