"""Replicas of the simulator: several of vLLM's engine cores in this process."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cachelab.engine.base import EngineCounters, Progress
from cachelab.engine.entry_queue import Entry
from cachelab.engine.sim import SimEngine
from cachelab.engine.vllm import core as vllm_core
from cachelab.engine.vllm.driver import Driver
from cachelab.engine.vllm.flight import Flight
from cachelab.engine.vllm.kv_groups import kv_layout
from cachelab.fleet.base import FleetRun
from cachelab.fleet.event import Change
from cachelab.fleet.loop import FleetLoop
from cachelab.fleet.outcome import fleet_notes, placement_of
from cachelab.fleet.router import Choose
from cachelab.request import Request, Schedule

if TYPE_CHECKING:
    from vllm.v1.engine import EngineCoreOutputs


@dataclass(slots=True)
class _Sent:
    flight: Flight

    @property
    def request(self) -> Request:
        return self.flight.request

    @property
    def prompt_tokens(self) -> int:
        return len(self.flight.prompt_ids)

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.flight.reply_tokens


class SimReplicas:
    """The engine cores of a fleet. A step is one step of vLLM's scheduler."""

    def __init__(self, drivers: Sequence[Driver], block_size: int) -> None:
        self.block_size = block_size
        self._drivers = drivers
        self._outputs: dict[int, Sequence[EngineCoreOutputs]] = {}
        self._sent: dict[str, _Sent] = {}
        self._forgotten: set[int] = set()

    def prepare(self, entry: Entry) -> _Sent | None:
        # All drivers reject the same prompts, and a request with its hashes suits every core.
        flight = self._drivers[0].prepare(entry)
        return None if flight is None else _Sent(flight)

    def cached_tokens(self, sent: _Sent) -> Sequence[int]:
        request = sent.flight.vllm_request
        return [
            0 if replica in self._forgotten else vllm_core.cached_tokens(driver.core, request)
            for replica, driver in enumerate(self._drivers)
        ]

    def prompt_blocks(self, sent: _Sent) -> Sequence[Hashable]:
        hashes: Sequence[Hashable] = sent.flight.vllm_request.block_hashes
        return hashes[: sent.prompt_tokens // self.block_size]

    def submit(self, replica: int, sent: _Sent) -> None:
        self._sent[sent.request.id] = sent
        self._drivers[replica].submit(sent.flight)

    def is_busy(self, replica: int) -> bool:
        return bool(self._drivers[replica].in_flight)

    def step(self, replica: int, now_ns: int) -> int:
        driver = self._drivers[replica]
        driver.timeline.wait_until(now_ns)
        self._outputs[replica] = driver.step()
        return driver.timeline.now_ns()

    def take(self, replica: int) -> Iterable[_Sent]:
        return [self._sent.pop(flight.request.id) for flight in self._drivers[replica].take(self._outputs.pop(replica))]

    def forget(self, replica: int) -> None:
        self._forgotten.add(replica)
        self._outputs.pop(replica, None)
        self._drivers[replica].in_flight.clear()

    def held_blocks(self) -> tuple[int, int]:
        """Different blocks in the caches now, and those in more than one cache."""
        seen: set[bytes] = set()
        twice: set[bytes] = set()
        for replica, driver in enumerate(self._drivers):
            if replica not in self._forgotten:
                blocks = vllm_core.cached_blocks(driver.core)
                twice.update(seen & blocks)
                seen.update(blocks)
        return len(seen), len(twice)


def run_sim(
    engine: SimEngine,
    schedule: Schedule,
    progress: Progress,
    num_replicas: int,
    choose: Choose,
    changes: Sequence[Change],
) -> FleetRun:
    """Run the schedule on `num_replicas` simulators. Raises EngineError as SimEngine.run does."""
    total = num_replicas + sum(change.action == "add" for change in changes)
    with engine.drivers(schedule, total, progress) as drivers:
        layout = kv_layout(drivers[0].core, engine.block_size)
        engines = SimReplicas(drivers, engine.block_size)
        loop = FleetLoop(engines, num_replicas, choose, changes)
        loop.run(schedule)
        records = drivers[0].ended(schedule)
        return FleetRun(
            records,
            summed([driver.counters(layout) for driver in drivers[: loop.num_replicas]]),
            drivers[0].requests(schedule),
            notes=(*engine.notes(drivers[0]), *fleet_notes(loop)),
            placement=placement_of(loop, records, engines.held_blocks()),
        )


def summed(counters: Sequence[EngineCounters]) -> EngineCounters:
    """The counters of all replicas together, which have no host tier; `kv_usage_max` is the highest one."""

    def total(name: str) -> int:
        return sum(getattr(one, name) for one in counters)

    num_blocks, layout = total("num_blocks"), counters[0].layout
    return replace(
        counters[0],
        num_blocks=num_blocks,
        layout=None if layout is None else replace(layout, num_blocks=num_blocks),
        steps=total("steps"),
        kv_usage_max=max(one.kv_usage_max or 0.0 for one in counters),
        queries_tokens=total("queries_tokens"),
        hits_tokens=total("hits_tokens"),
        preempted_queries_tokens=total("preempted_queries_tokens"),
        preempted_hits_tokens=total("preempted_hits_tokens"),
    )
