"""The simulator: vLLM's own engine core, scheduler and KV-cache manager without a model."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from pydantic.dataclasses import dataclass

from cachelab.engine.base import EngineRun, Progress
from cachelab.engine.history import SIMULATED_NOTES, history
from cachelab.engine.sim_core import core_of, fitted_core
from cachelab.engine.sim_settings import SimSettings
from cachelab.engine.step_cost import check_clock
from cachelab.engine.vllm import core as vllm_core
from cachelab.engine.vllm.clock import SimulatedTimeline
from cachelab.engine.vllm.decode_stretch import DecodeStretch
from cachelab.engine.vllm.driver import Driver
from cachelab.engine.vllm.schedule_run import run_schedule
from cachelab.request import Schedule
from cachelab.strict_config import STRICT

if TYPE_CHECKING:
    from vllm.v1.engine.core import EngineCore

    from cachelab.engine.vllm.recorded_executor import RecordedExecutor


@dataclass(frozen=True, config=STRICT)
class SimEngine(SimSettings):
    """Exact block accounting at any block size; the seconds are simulated, from `cost`.

    The settings are described in SimSettings.
    """

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
            return replace(run_schedule(driver, schedule), notes=self.notes(driver))

    @contextmanager
    def drivers(self, schedule: Schedule, number: int, progress: Progress) -> Iterator[list[Driver]]:
        """Drivers of new engine cores, which are closed at the end of the context.

        The drivers share the prompts' history, the records, the order of submission and the cost model's clock, which
        counts the steps of all of them. Raises EngineError if vLLM refuses the arguments, ConfigError if the simulated
        clock of a driver has overflowed.
        """
        cores: list[EngineCore] = []
        try:
            core, max_model_len = fitted_core(self, schedule)
            cores.append(core)
            while len(cores) < number:
                cores.append(core_of(self, max_model_len))
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
        stretch = None
        if self.is_plain and not executor.jump and self.decode != "token":
            found = DecodeStretch(core)
            stretch = found if found.is_exact else None
        return Driver(
            core,
            SimulatedTimeline(executor),
            max_model_len,
            progress,
            lambda: executor.kv_usage_max,
            max_output_tokens=self.max_output_tokens,
            history=history(self.history),
            plain_block_size=self.block_size,
            stretch=stretch,
        )

    def notes(self, driver: Driver) -> tuple[str, ...]:
        """What readers of the numbers must know."""
        return (SIMULATED_NOTES[self.history], *self.assumptions, *driver.core.model_executor.cost.notes)
