"""Runs a schedule on a vLLM engine core and records every request."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from cachelab.engine.base import EngineCounters, EngineRun, Progress, why_rejected
from cachelab.engine.entry_queue import Entry, EntryQueue, wait_line
from cachelab.engine.history import History, HistoryLost, RecordedReplies
from cachelab.engine.kv_layout import KvLayout
from cachelab.engine.vllm import core as vllm_core
from cachelab.engine.vllm.clock import Timeline
from cachelab.engine.vllm.decode_stretch import DecodeStretch
from cachelab.engine.vllm.kv_groups import kv_layout
from cachelab.errors import EngineError
from cachelab.request import Request, RequestRecord, Schedule, Stage
from cachelab.tokens import AnyTokens

if TYPE_CHECKING:
    from vllm.v1.engine import EngineCoreOutput, EngineCoreOutputs
    from vllm.v1.engine.core import EngineCore
    from vllm.v1.request import Request as VllmRequest

log = logging.getLogger(__name__)

MAX_IDLE_STEPS = 10_000
"""The engine counts as stuck after this many steps in a row in which nothing ran and nothing ended."""

_TOTALS: Final = ("queries", "hits", "preempted_queries", "preempted_hits", "host_queries", "host_hits")


@dataclass
class Flight:
    """A request that was sent, or is about to be. `reply_tokens`: how many tokens the engine generates for it."""

    request: Request
    lane: Iterator[Request]
    record: RequestRecord
    prompt_ids: AnyTokens
    reply_tokens: int
    vllm_request: "VllmRequest"
    preemptions: int = 0
    output_ids: list[int] = field(default_factory=list)


@dataclass
class Driver:
    """One run of one engine core. `run` is called once and changes every field below `stretch`.

    A request is submitted between two steps, at or after the time at which it enters; its `submitted_ns` is that time,
    so that the wait for the running step counts as latency.

    `max_output_tokens` cuts every reply. Tokens that `max_model_len` cuts are counted in the record
    (`reply_tokens_cut`). `plain_block_size`: the block size that was asked for, which the model's layers may not allow
    (None: the engine's). `on_step` is called after each step with its nanoseconds. `stretch` takes steps of `run`
    together (None: none). `ran`: the requests that ran with another prompt or reply than scheduled.
    """

    core: "EngineCore"
    timeline: Timeline
    max_model_len: int
    progress: Progress
    kv_usage_max: Callable[[], float]
    max_output_tokens: int | None = None
    history: History = field(default_factory=RecordedReplies)
    plain_block_size: int | None = None
    on_step: Callable[[int], None] | None = None
    stretch: DecodeStretch | None = None
    ran: dict[str, Request] = field(default_factory=dict)
    records: dict[str, RequestRecord] = field(default_factory=dict)
    in_flight: dict[str, Flight] = field(default_factory=dict)
    submitted: list[str] = field(default_factory=list)
    totals: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_TOTALS, 0))
    steps: int = 0
    idle_steps: int = 0

    def run(self, schedule: Schedule) -> EngineRun:
        """Run stage by stage. Raises EngineError if the engine gets stuck or loses a request."""
        layout = kv_layout(self.core, self.plain_block_size)
        log.info("KV cache: %s", layout)
        log.info("engine is up: submitting the first of %d requests", len(schedule))
        if self.timeline.kind == "wall" and (line := wait_line(schedule)) is not None:
            log.warning("%s", line)
        entries = EntryQueue(schedule.waits, self.timeline.now_ns())
        for stage in schedule.stages:
            self._run_stage(stage, entries)
        log.info("engine is done after %d steps", self.steps)
        return EngineRun(self.ended(schedule), self.counters(layout), self.requests(schedule))

    def ended(self, schedule: Schedule) -> list[RequestRecord]:
        """The records of the requests, in the order of the schedule. Raises EngineError if one is missing."""
        missing = next((request.id for request in schedule if request.id not in self.records), None)
        if missing is not None:
            raise EngineError(f"request {missing} was submitted and never ended")
        index = _prefill_indices([self.records[request_id] for request_id in self.submitted])
        return [replace(self.records[request.id], prefill_index=index.get(request.id)) for request in schedule]

    def requests(self, schedule: Schedule) -> list[Request]:
        """The requests as they ran, in the order of the schedule."""
        return [self.ran.get(request.id, request) for request in schedule]

    def _run_stage(self, stage: Stage, entries: EntryQueue) -> None:
        for lane in stage:
            entries.add(iter(lane), self.timeline.now_ns())
        while True:
            self._submit_due(entries)
            if not self.in_flight:
                if entries.next_ns is None:
                    return
                self.timeline.wait_until(entries.next_ns)
                continue
            if self.stretch is not None and self._take_together(self.stretch, entries.next_ns):
                continue
            for flight in self.take(self.step()):
                entries.add(flight.lane, self.records[flight.request.id].finished_ns or 0)

    def _take_together(self, stretch: DecodeStretch, until_ns: int | None) -> int:
        """Take the steps that are decided now, and record their tokens. Returns how many steps."""
        steps, tokens = stretch.take(until_ns)
        for request_id, token_ids in tokens.items():
            self.in_flight[request_id].output_ids += token_ids
        self.steps += steps
        return steps

    def step(self) -> "Sequence[EngineCoreOutputs]":
        """Run one step. Returns its outputs for `take`. Raises EngineError if the engine gets stuck."""
        began_ns = self.timeline.now_ns()
        outputs, executed = vllm_core.step(self.core)
        if self.on_step is not None:
            self.on_step(self.timeline.now_ns() - began_ns)
        self.steps += executed
        self.idle_steps = 0 if executed or any(batch.outputs for batch in outputs) else self.idle_steps + 1
        if self.idle_steps > MAX_IDLE_STEPS:
            stuck = ", ".join(list(self.in_flight)[:3])
            raise EngineError(f"the engine scheduled nothing in {self.idle_steps} steps; waiting: {stuck}")
        return outputs

    def take(self, outputs: "Sequence[EngineCoreOutputs]") -> list[Flight]:
        """Record the outputs of the last step. Returns the requests that have ended."""
        ended: list[Flight] = []
        for batch in outputs:
            if batch.scheduler_stats is not None:
                self._count(batch.scheduler_stats)
            for output in batch.outputs:
                if (flight := self._take(output)) is not None:
                    ended.append(flight)
        if ended:
            self.progress(len(ended))
        return ended

    def _submit_due(self, entries: EntryQueue) -> None:
        now_ns = self.timeline.now_ns()
        while (entry := entries.pop(now_ns)) is not None:
            if (flight := self.prepare(entry)) is not None:
                self.submit(flight)
            else:
                entries.add(entry.lane, entry.enters_ns, entry.number)

    def submit(self, flight: Flight) -> None:
        """Send a prepared request to the engine."""
        self.in_flight[flight.request.id] = flight
        vllm_core.submit(self.core, flight.vllm_request)

    def prepare(self, entry: Entry) -> Flight | None:
        """The request as it is sent; None if it is rejected, which is recorded."""
        request = entry.request
        try:
            prompt_ids = self.history.prompt_ids(request)
        except HistoryLost as lost:
            self._reject(request, len(request.prompt_ids), str(lost))
            return None
        if (reason := why_rejected(len(prompt_ids), self.max_model_len)) is not None:
            self._reject(request, len(prompt_ids), reason)
            return None
        room = self.max_model_len - len(prompt_ids)
        # An engine generates at least one token per request, also where the recorded reply is empty.
        wanted = max(1, len(request.reply_ids))
        allowed = min(wanted, self.max_output_tokens or wanted)
        reply_tokens = min(allowed, room)
        record = RequestRecord(
            request.id,
            request.conversation_id,
            request.turn_index,
            "completed",
            len(prompt_ids),
            reply_tokens_cut=allowed - reply_tokens,
            submitted_ns=entry.enters_ns,
        )
        reply = request.reply_ids[:reply_tokens].tolist() or [0]
        self.submitted.append(request.id)
        vllm_request = vllm_core.new_request(
            self.core,
            request.id,
            prompt_ids.tolist(),
            reply,
            reply_tokens,
            number=len(self.submitted),
            cache_salt=request.isolation.salt if request.isolation else None,
        )
        return Flight(request, entry.lane, record, prompt_ids, reply_tokens, vllm_request)

    def _reject(self, request: Request, prompt_tokens: int, reason: str) -> None:
        self.records[request.id] = RequestRecord(
            request.id, request.conversation_id, request.turn_index, "rejected", prompt_tokens, reason
        )
        self.progress(1)

    def _take(self, output: "EngineCoreOutput") -> Flight | None:
        """Record one output. Returns its request if it has ended."""
        flight = self.in_flight[output.request_id]
        flight.output_ids += output.new_token_ids
        if output.events:
            flight.preemptions += sum(event.type.name == "PREEMPTED" for event in output.events)
        if (stats := output.prefill_stats) is not None:
            flight.record = replace(
                flight.record,
                cached_tokens=stats.num_local_cached_tokens,
                host_cached_tokens=stats.num_external_cached_tokens,
                first_scheduled_ns=self.timeline.first_scheduled_ns(output),
                first_token_ns=self.timeline.now_ns(),
            )
        if output.finish_reason is None:
            return None
        if str(output.finish_reason) != "length":
            raise EngineError(f"request {output.request_id} ended early: {output.finish_reason} {output.stop_reason}")
        if len(flight.output_ids) != flight.reply_tokens:
            generated = f"{len(flight.output_ids)} of {flight.reply_tokens} tokens were generated"
            raise EngineError(f"request {output.request_id} ended early: {generated}")
        del self.in_flight[output.request_id]
        self.records[output.request_id] = replace(
            flight.record,
            preemptions=flight.preemptions,
            reply_tokens=len(flight.output_ids),
            finished_ns=self.timeline.now_ns(),
        )
        self._remember(flight)
        return flight

    def _remember(self, flight: Flight) -> None:
        request, output_ids = flight.request, np.asarray(flight.output_ids, dtype=np.int32)
        self.history.note(request, flight.prompt_ids, output_ids)
        if flight.prompt_ids is request.prompt_ids and np.array_equal(request.reply_ids, output_ids):
            return
        self.ran[request.id] = replace(request, prompt_ids=flight.prompt_ids, reply_ids=output_ids, kept_tokens=0)

    def _count(self, stats: Any) -> None:
        local, host = stats.prefix_cache_stats, stats.connector_prefix_cache_stats
        for name, value in (
            ("queries", local.queries),
            ("hits", local.hits),
            ("preempted_queries", local.preempted_queries),
            ("preempted_hits", local.preempted_hits),
            ("host_queries", host.queries if host else 0),
            ("host_hits", host.hits if host else 0),
        ):
            self.totals[name] += value

    def counters(self, layout: KvLayout) -> EngineCounters:
        """The counters of the run so far."""
        has_host = self.core.scheduler.get_kv_connector() is not None
        totals = self.totals
        return EngineCounters(
            clock=self.timeline.kind,
            block_size=layout.hit_alignment,
            num_blocks=vllm_core.usable_blocks(self.core),
            steps=self.steps,
            kv_usage_max=self.kv_usage_max(),
            queries_tokens=totals["queries"],
            hits_tokens=totals["hits"],
            preempted_queries_tokens=totals["preempted_queries"],
            preempted_hits_tokens=totals["preempted_hits"],
            host_queries_tokens=totals["host_queries"] if has_host else None,
            host_hits_tokens=totals["host_hits"] if has_host else None,
            num_host_blocks=vllm_core.host_blocks(self.core),
            kv_bytes_per_token=layout.plain_bytes_per_token,
            layout=layout,
        )


def _prefill_indices(completed: Sequence[RequestRecord]) -> dict[str, int]:
    """The rank of each request by the time of its first prefill. `completed` is in the order of submission.

    The scheduler is first come, first served: requests first scheduled in the same step keep their order of submission.
    """
    in_order = sorted(completed, key=lambda record: record.first_scheduled_ns or 0)
    return {record.request_id: index for index, record in enumerate(in_order)}
