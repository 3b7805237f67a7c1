"""Feeds requests to a vLLM engine core, runs its steps and records every request."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from cachelab.engine.base import EngineCounters, Progress, why_rejected
from cachelab.engine.entry_queue import Entry
from cachelab.engine.history import History, HistoryLost, RecordedReplies
from cachelab.engine.kv_layout import KvLayout
from cachelab.engine.vllm import core as vllm_core
from cachelab.engine.vllm.cache_totals import CacheTotals
from cachelab.engine.vllm.clock import Timeline
from cachelab.engine.vllm.decode_stretch import DecodeStretch
from cachelab.engine.vllm.flight import Flight, prefill_indices
from cachelab.errors import EngineError
from cachelab.request import Request, RequestRecord, Schedule

if TYPE_CHECKING:
    from vllm.v1.engine import EngineCoreOutputs
    from vllm.v1.engine.core import EngineCore

MAX_IDLE_STEPS = 10_000
"""The engine counts as stuck after this many steps in a row in which nothing ran and nothing ended."""


@dataclass
class Driver:
    """One run of one engine core, which changes every field below `stretch`.

    A request is submitted between two steps, at or after the time at which it enters; its `submitted_ns` is that time,
    so that the wait for the running step counts as latency.

    `max_output_tokens` cuts every reply. Tokens that `max_model_len` cuts are counted in the record
    (`reply_tokens_cut`). `plain_block_size`: the block size that was asked for, which the model's layers may not allow
    (None: the engine's). `on_step` is called after each step with its nanoseconds. `stretch` takes steps
    together (None: none). `ran`: the requests that ran with another prompt or reply than scheduled. `submitted`: the
    ids of all submissions in their order; that of a request that was sent again is there again.
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
    totals: CacheTotals = field(default_factory=CacheTotals)
    steps: int = 0
    idle_steps: int = 0

    def ended(self, schedule: Schedule) -> list[RequestRecord]:
        """The records of the requests, in the order of the schedule. Raises EngineError if one is missing."""
        missing = next((request.id for request in schedule if request.id not in self.records), None)
        if missing is not None:
            raise EngineError(f"request {missing} was submitted and never ended")
        # Of a request that was sent again, the last place counts.
        order = list(dict.fromkeys(reversed(self.submitted)))[::-1]
        index = prefill_indices([self.records[request_id] for request_id in order])
        return [replace(self.records[request.id], prefill_index=index.get(request.id)) for request in schedule]

    def requests(self, schedule: Schedule) -> list[Request]:
        """The requests as they ran, in the order of the schedule."""
        return [self.ran.get(request.id, request) for request in schedule]

    def take_together(self, until_ns: int | None) -> int:
        """Take the steps that `stretch` says are decided, and record their tokens. Returns how many steps."""
        if self.stretch is None:
            return 0
        steps, tokens = self.stretch.take(until_ns)
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
        in_flight = self.in_flight
        for batch in outputs:
            if batch.scheduler_stats is not None:
                self.totals.add(batch.scheduler_stats)
            for output in batch.outputs:
                flight = in_flight[output.request_id]
                # Most outputs are one more token, of which nothing else is noted.
                if output.finish_reason is None and output.prefill_stats is None and not output.events:
                    flight.output_ids += output.new_token_ids
                elif (record := flight.take(output, self.timeline)) is not None:
                    self._end(flight, record)
                    ended.append(flight)
        if ended:
            self.progress(len(ended))
        return ended

    def _end(self, flight: Flight, record: RequestRecord) -> None:
        request, output_ids = flight.request, np.asarray(flight.output_ids, dtype=np.int32)
        del self.in_flight[request.id]
        self.records[request.id] = record
        self.history.note(request, flight.prompt_ids, output_ids)
        if (ran := flight.ran(output_ids)) is not None:
            self.ran[request.id] = ran

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
            queries_tokens=totals.queries,
            hits_tokens=totals.hits,
            preempted_queries_tokens=totals.preempted_queries,
            preempted_hits_tokens=totals.preempted_hits,
            host_queries_tokens=totals.host_queries if has_host else None,
            host_hits_tokens=totals.host_hits if has_host else None,
            num_host_blocks=vllm_core.host_blocks(self.core),
            kv_bytes_per_token=layout.plain_bytes_per_token,
            layout=layout,
        )
