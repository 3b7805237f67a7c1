"""Sends a schedule to a server: lanes on asyncio, at most so many requests at once."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from cachelab.engine.base import Progress, why_rejected
from cachelab.engine.entry_queue import Entry, EntryQueue
from cachelab.engine.history import History, HistoryLost
from cachelab.engine.server.exchange import Answer, RequestFailed
from cachelab.request import Request, RequestRecord, Schedule, Stage
from cachelab.tokens import AnyTokens, TokenIds

Send = Callable[[Request, AnyTokens, int], Awaitable[Answer]]
"""Sends a request whose prompt has these tokens, and asks for so many tokens of reply. Raises RequestFailed."""

_LEFT_OUT = "not sent: the run ended before"


@dataclass
class Lanes:
    """One run of a schedule on a server. `run` is called once and fills the fields below `on_error`.

    `failed`: the ids of the requests that the server did not answer. `failure`: why the run stopped early (None: it did
    not). `unknown_ids`: the tokens of replies whose ids the server did not say. `null_cached`: the ids of the requests
    whose usage has nothing where others have cached tokens. After an interruption `records` and `ran` hold what had
    ended.
    """

    send: Send
    history: History
    max_model_len: int | None
    max_connections: int
    max_output_tokens: int | None
    progress: Progress
    on_error: Literal["stop", "record"]
    records: dict[str, RequestRecord] = field(default_factory=dict)
    ran: dict[str, Request] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    failure: str | None = None
    unknown_ids: int = 0
    null_cached: list[str] = field(default_factory=list)

    async def run(self, schedule: Schedule) -> None:
        """Run stage by stage; if `on_error` is stop, until a request fails."""
        entries = EntryQueue(schedule.waits, time.monotonic_ns())
        for stage in schedule.stages:
            if self.failure is None:
                await self._run_stage(stage, entries)

    def in_order(self, schedule: Schedule) -> tuple[list[RequestRecord], list[Request]]:
        """One record per request of the schedule, and the requests as they ran.

        `prefill_index` is the order in which the attempts that were answered were sent. A server that says how many
        tokens were cached for some requests and has null for others (SGLang) means 0 by it.
        """
        done = [one for one in self.records.values() if one.outcome == "completed"]
        in_order = sorted(done, key=lambda one: one.first_scheduled_ns or 0)
        order = {one.request_id: rank for rank, one in enumerate(in_order)}
        if any(one.cached_known for one in done):
            for request_id in self.null_cached:
                self.records[request_id] = replace(self.records[request_id], cached_known=True)
        for request in schedule:
            if request.id not in self.records:
                self._reject(request, len(request.prompt_ids), _LEFT_OUT)
        records = [replace(self.records[request.id], prefill_index=order.get(request.id)) for request in schedule]
        return records, [self.ran.get(request.id, request) for request in schedule]

    async def _run_stage(self, stage: Stage, entries: EntryQueue) -> None:
        for lane in stage:
            entries.add(iter(lane), time.monotonic_ns())
        running: dict[asyncio.Task[int], Entry] = {}
        try:
            while True:
                self._start_due(entries, running)
                wait_s = None
                if entries.next_ns is not None and len(running) < self.max_connections:
                    wait_s = max(0.0, (entries.next_ns - time.monotonic_ns()) / 1e9)
                if not running:
                    if wait_s is None:
                        return
                    await asyncio.sleep(wait_s)
                    continue
                done, _ = await asyncio.wait(running, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
                for task in sorted(done, key=lambda ended: ended.result()):
                    entries.add(running.pop(task).lane, task.result())
                    self.progress(1)
                if self.failure is not None:
                    return
        finally:
            for task, entry in running.items():
                task.cancel()  # closes its connection, so that the server stops the request
                if entry.request.id not in self.records:  # it may have ended as the run did
                    self._reject(entry.request, len(entry.request.prompt_ids), "cancelled while it ran: the run ended")
            await asyncio.gather(*running, return_exceptions=True)

    def _start_due(self, entries: EntryQueue, running: dict[asyncio.Task[int], Entry]) -> None:
        while len(running) < self.max_connections and (entry := entries.pop(time.monotonic_ns())) is not None:
            request = entry.request
            try:
                prompt_ids = self.history.prompt_ids(request)
                why = why_rejected(len(prompt_ids), self.max_model_len or len(prompt_ids) + 1)
            except HistoryLost as lost:
                prompt_ids, why = request.prompt_ids, str(lost)
            if why is not None:
                self._reject(request, len(prompt_ids), why)
                self.progress(1)
                entries.add(entry.lane, entry.enters_ns, entry.number)
                continue
            running[asyncio.create_task(self._request(entry, prompt_ids))] = entry

    async def _request(self, entry: Entry, prompt_ids: AnyTokens) -> int:
        """Send one request and record it. Returns the time at which it ended, nanoseconds."""
        request = entry.request
        wanted = max(1, len(request.reply_ids))
        allowed = min(wanted, self.max_output_tokens or wanted)
        room = allowed if self.max_model_len is None else self.max_model_len - len(prompt_ids)
        reply_tokens = min(allowed, room)
        try:
            answer = await self.send(request, prompt_ids, reply_tokens)
        except RequestFailed as failure:
            self._reject(request, len(prompt_ids), f"failed: {failure}")
            self.failed.append(request.id)
            if self.on_error == "stop" and self.failure is None:
                done = sum(one.outcome == "completed" for one in self.records.values())
                self.failure = (
                    f"request {request.id} failed after {done:,} completed requests: {failure}; "
                    "engine.on_error=record goes on"
                )
            return time.monotonic_ns()
        if answer.prompt_ids is not None:
            prompt_ids = np.asarray(answer.prompt_ids, dtype=np.int32)
        self.records[request.id] = RequestRecord(
            request.id,
            request.conversation_id,
            request.turn_index,
            "completed",
            len(prompt_ids),
            cached_tokens=answer.cached_tokens or 0,
            cached_known=answer.cached_tokens is not None,
            reply_tokens=answer.reply_tokens,
            reply_tokens_cut=allowed - reply_tokens,
            submitted_ns=entry.enters_ns,
            first_scheduled_ns=answer.sent_ns,
            first_token_ns=answer.first_token_ns,
            finished_ns=answer.finished_ns,
        )
        if answer.is_null and answer.cached_tokens is None:
            self.null_cached.append(request.id)
        output_ids = self._output_ids(answer)
        self.history.note(request, prompt_ids, output_ids)
        if not (np.array_equal(request.prompt_ids, prompt_ids) and np.array_equal(request.reply_ids, output_ids)):
            self.ran[request.id] = replace(request, prompt_ids=prompt_ids, reply_ids=output_ids, kept_tokens=0)
        return answer.finished_ns

    def _output_ids(self, answer: Answer) -> TokenIds:
        """The ids of the reply; if the server does not give them back, numbers that no prompt holds."""
        if answer.output_ids is not None:
            return np.asarray(answer.output_ids, dtype=np.int32)
        self.unknown_ids += answer.reply_tokens
        last = np.iinfo(np.int32).max - self.unknown_ids
        return np.arange(last + 1, last + 1 + answer.reply_tokens, dtype=np.int32)

    def _reject(self, request: Request, prompt_tokens: int, why: str) -> None:
        self.records[request.id] = RequestRecord(
            request.id, request.conversation_id, request.turn_index, "rejected", prompt_tokens, why
        )
