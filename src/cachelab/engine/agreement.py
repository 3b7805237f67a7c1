"""A real engine and the simulator on the same requests."""

import logging
from dataclasses import replace

from pydantic.dataclasses import dataclass

from cachelab.engine.base import EngineRun, Progress
from cachelab.engine.history import HistoryName
from cachelab.engine.sim import SimEngine
from cachelab.engine.vllm.extra_args import NOT_SIMULATED, SETTINGS, check_extra_args
from cachelab.engine.vllm.real_engine import VllmEngine
from cachelab.errors import ConfigError
from cachelab.request import Schedule
from cachelab.strict_config import STRICT

log = logging.getLogger(__name__)


@dataclass(frozen=True, config=STRICT)
class AgreementEngine:
    """Runs `real`, then the simulator on the requests as they ran: the same prompts, the replies that came.

    Records, counters and seconds are the real engine's; the simulator's records are the run's `reference_records`. The
    simulator has the real engine's sizes and as many blocks as that one had. Requests that the real engine rejected are
    left out of the second run.
    """

    real: VllmEngine

    def __post_init__(self) -> None:
        if self.real.host_cache_gib:
            raise ConfigError("engine.real.host_cache_gib: the agreement is about the engine's own cache: set it to 0")
        # Further arguments may decide about blocks too: the simulator takes the same, or refuses here what it cannot.
        check_extra_args(self.real.args, SETTINGS, NOT_SIMULATED)

    @property
    def name(self) -> str:
        return f"{self.real.name} and sim"

    @property
    def version(self) -> str | None:
        return self.real.version

    @property
    def block_size(self) -> int:
        return self.real.block_size

    @property
    def history(self) -> HistoryName:
        return self.real.history

    def run(self, schedule: Schedule, progress: Progress) -> EngineRun:
        """Run both, one after the other. Raises EngineError as they do."""
        run = self.real.run(schedule, progress)
        reference = self.simulator(run.counters.num_blocks + 1).run(as_run(schedule, run), lambda ended: None)
        log.info("the simulator ran the same %d requests", len(reference.records))
        note = "The simulator then ran the same prompts with the replies that came, in a cache of the same size."
        return replace(run, reference_records=reference.records, notes=(*run.notes, note))

    def simulator(self, num_blocks: int) -> SimEngine:
        """The simulator of the real engine's sizes; `num_blocks` is vLLM's count, its null block included."""
        real = self.real
        return SimEngine(
            block_size=real.block_size,
            max_model_len=real.max_model_len,
            max_num_seqs=real.max_num_seqs,
            num_blocks=num_blocks,
            max_num_batched_tokens=real.max_num_batched_tokens,
            enable_prefix_caching=real.enable_prefix_caching,
            args=real.args,
        )


def as_run(schedule: Schedule, run: EngineRun) -> Schedule:
    """The schedule of the requests that completed, with the prompts that were sent and the replies that came."""
    requests = list(schedule) if run.requests is None else run.requests
    ran = {
        record.request_id: request
        for record, request in zip(run.records, requests, strict=True)
        if record.outcome == "completed"
    }
    lanes = (
        [tuple(ran[request.id] for request in lane if request.id in ran) for lane in stage] for stage in schedule.stages
    )
    return Schedule(tuple(tuple(lane for lane in stage if lane) for stage in lanes))
