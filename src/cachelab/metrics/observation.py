"""The input of every metric: the requests of a run, their records and the engine's counters."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import TypeVar
from weakref import WeakKeyDictionary

import numpy as np

from cachelab.engine.base import EngineCounters, EngineRun
from cachelab.engine.step_points import StepPoints
from cachelab.errors import EngineError
from cachelab.fleet.base import FleetRun, Placement
from cachelab.metrics.hits import Hits, Int64s
from cachelab.prefix_cache.accesses import BlockAccesses
from cachelab.prefix_cache.block_ids import BlockIds
from cachelab.prefix_cache.request_blocks import RequestBlocks, number_blocks
from cachelab.request import Request, RequestRecord

Value = TypeVar("Value")
Source = TypeVar("Source")


class NotMeasured(Exception):
    """A number needs what the engine did not measure. `measure` omits the number."""


def if_measured(make: Callable[[Source], Value], source: Source) -> Value | None:
    """What `make` returns for an observation or a result; None if it needs what the engine did not measure."""
    try:
        return make(source)
    except NotMeasured:
        return None


@dataclass(frozen=True, eq=False)
class Observation:
    """The requests of one run, their records and the engine's counters.

    `requests`: the requests as they ran, by id. `interned`: their blocks, if the engine has numbered them. `steps`: the
    scheduler steps, if the engine has measured them. `placement`: where the requests ran, if there are replicas.
    Raises EngineError if a request has no record, or if a record contradicts itself.
    """

    requests: Mapping[str, Request]
    records: Sequence[RequestRecord]
    counters: EngineCounters
    reference_records: Sequence[RequestRecord] | None = None
    interned: RequestBlocks | None = None
    steps: StepPoints | None = None
    placement: Placement | None = None

    def __post_init__(self) -> None:
        _check_outcomes(self.requests, self.records)
        for record in self.completed:
            _check_completed(self.requests[record.request_id], record)
        indices = {record.prefill_index for record in self.completed}
        if len(indices) < len(self.completed):
            raise EngineError(f"engine: {len(self.completed)} requests completed with {len(indices)} prefill indices")

    @classmethod
    def of(cls, requests: Sequence[Request], run: EngineRun) -> "Observation":
        ran = requests if run.requests is None else run.requests
        by_id = {request.id: request for request in ran}
        placement = run.placement if isinstance(run, FleetRun) else None
        return cls(by_id, run.records, run.counters, run.reference_records, run.blocks, run.steps, placement)

    @cached_property
    def completed(self) -> Sequence[RequestRecord]:
        """The completed requests in the order of their first prefills."""
        done = [record for record in self.records if record.outcome == "completed"]
        return sorted(done, key=lambda record: record.prefill_index or 0)

    def per_record(self, values: Iterable[Value]) -> list[Value | None]:
        """One value per completed request, in the order of `completed`, as one per record; None for a rejected one.

        Raises ValueError for another number of values.
        """
        known: list[Value | None] = [*values, None]  # the last one: for the place -1
        if len(known) != len(self.completed) + 1:
            raise ValueError(f"{len(known) - 1} values for {len(self.completed)} completed requests")
        return [known[place] for place in self._places]

    @cached_property
    def _places(self) -> list[int]:
        """The place of each record's request in `completed`; -1 for a rejected one."""
        places = {record.request_id: place for place, record in enumerate(self.completed)}
        return [places.get(record.request_id, -1) for record in self.records]

    @cached_property
    def prompt_tokens(self) -> Int64s:
        """Prompt tokens of each completed request. int64, shape (num_completed,)."""
        return np.asarray([record.prompt_tokens for record in self.completed], dtype=np.int64)

    @cached_property
    def hits_known(self) -> bool:
        """Whether the engine measured the cached tokens of every completed request."""
        return all(record.cached_known for record in self.completed)

    @cached_property
    def cached_tokens(self) -> Int64s:
        """Prompt tokens that each completed request's first prefill found in the cache. int64, (num_completed,).

        Raises NotMeasured if a server did not say it.
        """
        if not self.hits_known:
            raise NotMeasured("cached tokens")
        return np.asarray([record.cached_tokens for record in self.completed], dtype=np.int64)

    @cached_property
    def replicas(self) -> Int64s:
        """The replica that completed each request; 0 without replicas. int64, shape (num_completed,)."""
        return self._placed("replicas")

    @cached_property
    def elsewhere_tokens(self) -> Int64s:
        """Prompt tokens that another replica held when each request was routed. int64, shape (num_completed,)."""
        return self._placed("elsewhere_tokens")

    def _placed(self, column: str) -> Int64s:
        if self.placement is None:
            return np.zeros(len(self.completed), np.int64)
        values = getattr(self.placement, column)
        by_id = {record.request_id: value for record, value in zip(self.records, values, strict=True)}
        return np.asarray([by_id[record.request_id] for record in self.completed], np.int64)

    @property
    def full_blocks(self) -> Int64s:
        """Prompt blocks of each completed request: full ones, or those a trace lists. int64, (num_completed,)."""
        return self.accesses.prompt_blocks

    @property
    def hit_blocks(self) -> Int64s:
        """Prompt blocks that each completed request's first prefill found in the cache. int64, (num_completed,)."""
        if self.counters.rules == "vllm":
            return self.cached_tokens // self.counters.block_size
        return -(-self.cached_tokens // self.counters.block_size)

    @property
    def host_hit_blocks(self) -> Int64s:
        """Prompt blocks that each completed request's first prefill found in the host tier. int64, (num_completed,)."""
        tokens = np.asarray([record.host_cached_tokens for record in self.completed], dtype=np.int64)
        return tokens // self.counters.block_size

    @cached_property
    def blocks(self) -> RequestBlocks:
        """The blocks of the completed requests, in the order of first prefills."""
        return self._numbered(self.counters.block_size) if self.interned is None else self.interned

    def _numbered(self, block_size: int) -> RequestBlocks:
        requests = [self.requests[record.request_id] for record in self.completed]
        replies = [record.reply_tokens for record in self.completed]
        return number_blocks(requests, replies, block_size, self.counters.rules)

    @property
    def block_ids(self) -> BlockIds:
        """The ids of the blocks that each completed request leaves in the cache, in the order of first prefills."""
        return self.blocks.block_ids

    @property
    def accesses(self) -> BlockAccesses:
        """The block accesses of the completed requests, in the order of first prefills."""
        return self.blocks.accesses

    @cached_property
    def plain_accesses(self) -> BlockAccesses:
        """The accesses of the completed requests on a model whose layers all hold all tokens, in its own blocks.

        They are `accesses` unless the layers of the run's model are of another kind (`EngineCounters.layout`).
        """
        layout = self.counters.layout
        if layout is None or layout.is_plain:
            return self.accesses
        return self._numbered(layout.plain_block_size).accesses

    @property
    def plain_blocks(self) -> int:
        """The blocks that such a model has in the run's memory: as many as the layers that hold all tokens.

        Raises NotMeasured if a server did not say how many blocks it has.
        """
        layout = self.counters.layout
        if layout is not None and not layout.is_plain:
            return layout.plain_blocks
        if self.counters.num_blocks is None:
            raise NotMeasured("the number of blocks")
        return self.counters.num_blocks

    @cached_property
    def hits(self) -> Hits:
        """Every hit of a block by a first prefill."""
        return Hits.of(self.completed, self.hit_blocks, self.accesses)


def memoize(compute: Callable[[Observation], Value]) -> Callable[[Observation], Value]:
    """The function with a cache: its value is computed once per observation and freed with it."""
    kept: WeakKeyDictionary[Observation, Value] = WeakKeyDictionary()

    @wraps(compute)
    def look_up(observation: Observation) -> Value:
        if observation not in kept:
            kept[observation] = compute(observation)
        return kept[observation]

    return look_up


def _check_outcomes(requests: Mapping[str, Request], records: Sequence[RequestRecord]) -> None:
    ended = {record.request_id for record in records if record.outcome in ("completed", "rejected")}
    if wrong := sorted(ended ^ requests.keys()):
        raise EngineError(
            f"engine: {len(requests)} requests submitted, {len(ended)} completed or rejected; without a record: "
            f"{wrong[0]}" + (f" and {len(wrong) - 1} more" if len(wrong) > 1 else "")
        )
    if len(records) != len(requests):
        raise EngineError(f"engine: {len(requests)} requests submitted, but {len(records)} records came back")


def _check_completed(request: Request, record: RequestRecord) -> None:
    for field in ("prefill_index", "submitted_ns", "first_scheduled_ns", "first_token_ns", "finished_ns"):
        if getattr(record, field) is None:
            raise EngineError(f"engine: request {record.request_id} completed without {field}")
    if record.prompt_tokens != len(request.prompt_ids):
        raise EngineError(
            f"engine: request {record.request_id} has {len(request.prompt_ids)} prompt tokens, "
            f"its record {record.prompt_tokens}"
        )
    if not 0 <= record.cached_tokens <= record.prompt_tokens:
        raise EngineError(
            f"engine: request {record.request_id} has {record.prompt_tokens} prompt tokens, "
            f"but its record says {record.cached_tokens} cached"
        )
