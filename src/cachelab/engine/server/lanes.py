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
from cachelab.errors import EngineError
from cachelab.request import Request, RequestRecord, Schedule, Stage
from cachelab.tokens import AnyTokens

Send = Callable[[list[int], int, str | None], Awaitable[Answer]]
"""Sends token ids, asks for so many tokens of reply, with a cache salt. Raises RequestFailed."""


@dataclass
class Lanes:
    """One run of a schedule on a server. `run` is called once and fills the fields below `on_error`."""

    send: Send
    history: History
    max_model_len: int
    max_connections: int
    max_output_tokens: int | None
    progress: Progress
    on_error: Literal["stop", "record"]
    records: dict[str, RequestRecord] = field(default_factory=dict)
    ran: dict[str, Request] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    sent: int = 0

    async def run(self, schedule: Schedule) -> None:
        """Run stage by stage. Raises EngineError for the first failed request if `on_error` is stop."""
        entries = EntryQueue(schedule.waits, time.monotonic_ns())
        for stage in schedule.stages:
            await self._run_stage(stage, entries)

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
        finally:
            for task in running:
                task.cancel()  # closes its connection, so that the server stops the request
            await asyncio.gather(*running, return_exceptions=True)

    def _start_due(self, entries: EntryQueue, running: dict[asyncio.Task[int], Entry]) -> None:
        while len(running) < self.max_connections and (entry := entries.pop(time.monotonic_ns())) is not None:
            request = entry.request
            try:
                prompt_ids = self.history.prompt_ids(request)
                why = why_rejected(len(prompt_ids), self.max_model_len)
            except HistoryLost as lost:
                prompt_ids, why = request.prompt_ids, str(lost)
            if why is not None:
                self._reject(request, len(prompt_ids), why)
                self.progress(1)
                entries.add(entry.lane, entry.enters_ns, entry.number)
                continue
            running[asyncio.create_task(self._request(entry, prompt_ids, self.sent))] = entry
            self.sent += 1

    async def _request(self, entry: Entry, prompt_ids: AnyTokens, index: int) -> int:
        """Send one request and record it. Returns the time at which it ended, nanoseconds."""
        request = entry.request
        wanted = max(1, len(request.reply_ids))
        allowed = min(wanted, self.max_output_tokens or wanted)
        reply_tokens = min(allowed, self.max_model_len - len(prompt_ids))
        salt = request.isolation.salt if request.isolation else None
        try:
            answer = await self.send(prompt_ids.tolist(), reply_tokens, salt)
        except RequestFailed as failure:
            if self.on_error == "stop":
                done = len(self.records)
                raise EngineError(
                    f"request {request.id} failed after {done} ended requests: {failure}; "
                    "engine.on_error=record goes on"
                ) from failure
            self._reject(request, len(prompt_ids), f"failed: {failure}")
            self.failed.append(request.id)
            return time.monotonic_ns()
        self.records[request.id] = RequestRecord(
            request.id,
            request.conversation_id,
            request.turn_index,
            "completed",
            len(prompt_ids),
            cached_tokens=answer.cached_tokens,
            reply_tokens=len(answer.output_ids),
            reply_tokens_cut=allowed - reply_tokens,
            prefill_index=index,
            submitted_ns=entry.enters_ns,
            first_scheduled_ns=answer.sent_ns,
            first_token_ns=answer.first_token_ns,
            finished_ns=answer.finished_ns,
        )
        output_ids = np.asarray(answer.output_ids, dtype=np.int32)
        self.history.note(request, prompt_ids, output_ids)
        if prompt_ids is not request.prompt_ids or not np.array_equal(request.reply_ids, output_ids):
            self.ran[request.id] = replace(request, prompt_ids=prompt_ids, reply_ids=output_ids, kept_tokens=0)
        return answer.finished_ns

    def _reject(self, request: Request, prompt_tokens: int, why: str) -> None:
        self.records[request.id] = RequestRecord(
            request.id, request.conversation_id, request.turn_index, "rejected", prompt_tokens, why
        )
