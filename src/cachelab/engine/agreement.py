"""A real engine and the simulator on the same requests."""

import logging
import re
from dataclasses import fields, replace

from pydantic import field_validator
from pydantic.dataclasses import dataclass

from cachelab.engine.base import EngineRun, Progress
from cachelab.engine.history import HistoryName
from cachelab.engine.kv_layout import KvLayout
from cachelab.engine.server.server_engine import ServerEngine
from cachelab.engine.sim import SimEngine
from cachelab.engine.vllm.extra_args import NOT_SIMULATED, SETTINGS, check_extra_args
from cachelab.engine.vllm.real_engine import VllmEngine
from cachelab.errors import ConfigError, EngineError
from cachelab.request import Schedule
from cachelab.strict_config import STRICT

log = logging.getLogger(__name__)


@dataclass(frozen=True, config=STRICT)
class AgreementEngine:
    """Runs a real engine, then the simulator on the same prompts with the real engine's replies.

    Records, counters and seconds are the real engine's. The simulator's records are the run's `reference_records`. The
    simulator has the real engine's sizes, its groups of layers and the same number of blocks. Requests that the real
    engine rejected are left out of the second run. A live server must have all requests from one connection: with
    several, the order in which they reach its scheduler is not known, and evictions depend on it. The simulator then
    gets the requests one after the other, in the order in which the server got them.
    """

    real: VllmEngine | ServerEngine

    @field_validator("real", mode="before")
    @classmethod
    def _is_real(cls, value: object) -> object:
        if not isinstance(value, VllmEngine | ServerEngine):
            raise ConfigError(
                "engine.real: an agreement compares the simulator with a real engine: write engine@engine.real=cpu, "
                "cuda or server"
            )
        return value

    def __post_init__(self) -> None:
        if self.real.host_cache_gib:
            raise ConfigError("engine.real.host_cache_gib: only the engine's own cache is compared: set it to 0")
        if isinstance(self.real, ServerEngine) and self.real.max_connections != 1:
            raise ConfigError(
                "engine.real.max_connections: the order in which a server schedules requests from several connections "
                "is not known, and evictions depend on it: set it to 1"
            )
        # The simulator gets the same further arguments, which can affect blocks. Unsupported ones are refused.
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
        """Run both engines, one after the other. Raises the EngineError of either."""
        try:
            run = self.real.run(schedule, progress)
        except (EngineError, ConfigError) as error:
            raise type(error)(of_real(self.real, str(error))) from error
        run = replace(run, notes=tuple(of_real(self.real, note) for note in run.notes))
        if run.failure is not None:
            return replace(run, failure=of_real(self.real, run.failure))
        layout = run.counters.layout
        if run.counters.num_blocks is None:
            raise EngineError("engine.real: the server does not say how many blocks it has: set engine.real.num_blocks")
        again = as_run(schedule, run)
        notes = list(run.notes)
        if isinstance(self.real, ServerEngine):
            again = as_sent(again, run)
            if failed := sum(record.outcome == "rejected" for record in run.records):
                notes.append(
                    f"{failed:,} requests did not complete on the server and are not compared. What they left in its "
                    "cache is not known, so they can be the reason of later mismatches."
                )
        reference = self.simulator(run.counters.num_blocks + 1, layout).run(again, lambda ended: None)
        made = reference.counters.layout
        # One group of full attention has the same hits whatever its bytes, and the simulator keeps its own.
        if layout is not None and made is not None and not layout.is_plain and made.groups != layout.groups:
            raise EngineError(f"engine=agreement: the real engine has {layout}, but the simulator has {made}")
        log.info("the simulator ran the same %d requests", len(reference.records))
        note = "The simulator then ran the same prompts with the real engine's replies, in a cache of the same size."
        return replace(run, reference_records=reference.records, notes=(*notes, note))

    def simulator(self, num_blocks: int, layout: KvLayout | None = None) -> SimEngine:
        """The simulator with the real engine's sizes, but `num_blocks` blocks (vLLM's null block included).

        If `layout`, the real engine's, is not plain, the simulator gets layers of the same kinds and sizes.
        Raises EngineError for a layout that cannot be simulated.
        """
        real, layers = self.real, None
        if layout is not None and not layout.is_plain:
            try:
                layers = [group.same_sized_layers() for group in layout.groups]
            except ValueError as error:
                raise EngineError(f"engine.real.model: {error}: the simulator has no such layers") from error
        # One connection sends one request at a time, whatever the server could run at once.
        at_once = 1 if isinstance(real, ServerEngine) else real.max_num_seqs
        return SimEngine(
            **real.sizes(num_blocks=num_blocks, max_num_seqs=at_once),
            enable_prefix_caching=real.enable_prefix_caching,
            args=real.args,
            layers=layers,
            platform="cuda" if real.name == "cuda" else "cpu",
        )


def as_run(schedule: Schedule, run: EngineRun) -> Schedule:
    """The schedule of the completed requests, with the prompts that were sent and the replies that the engine gave."""
    requests = list(schedule) if run.requests is None else run.requests
    ran = {
        record.request_id: request
        for record, request in zip(run.records, requests, strict=True)
        if record.outcome == "completed"
    }
    lanes = (
        [tuple(ran[request.id] for request in lane if request.id in ran) for lane in stage] for stage in schedule.stages
    )
    return replace(schedule, stages=tuple(tuple(lane for lane in stage if lane) for stage in lanes))


def as_sent(schedule: Schedule, run: EngineRun) -> Schedule:
    """The requests of the schedule in one lane and without waits, in the order in which the real engine got them."""
    place = {record.request_id: record.prefill_index or 0 for record in run.records}
    return Schedule(((tuple(sorted(schedule, key=lambda request: place[request.id])),),))


def of_real(real: VllmEngine | ServerEngine, text: str) -> str:
    """A message of the real engine with the keys that its settings have here: engine.real.NAME.

    Only names of its settings are changed: a server's own words may have others after "engine.".
    """
    names = "|".join(field.name for field in fields(real))
    return re.sub(rf"(?<![\w.])engine\.(?=({names})\b)", "engine.real.", text)
