"""Replicas of the replay engine: several exact prefix caches, each with one request at a time."""

from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cachelab.engine.base import Progress, why_rejected
from cachelab.engine.entry_queue import Entry
from cachelab.engine.replay import ARRIVAL_NOTE, NOTES, ReplayEngine
from cachelab.engine.replay_order import in_order_of_arrival
from cachelab.engine.step_cost import check_clock
from cachelab.fleet.base import FleetRun
from cachelab.fleet.event import Change
from cachelab.fleet.loop import FleetLoop
from cachelab.fleet.outcome import fleet_notes, placement_of
from cachelab.fleet.router import Choose
from cachelab.prefix_cache.request_blocks import number_blocks
from cachelab.request import Request, RequestRecord, Schedule

_NO_EVICTORS = np.empty(0, np.int32)


@dataclass(slots=True)
class _Sent:
    """A request: its number among the admitted ones, its times in nanoseconds, and its sizes in tokens."""

    number: int
    entry: Entry
    request: Request
    prompt_tokens: int
    reply_tokens: int
    cached_tokens: int = 0
    starts_ns: int = 0
    first_token_ns: int = 0
    place: int = 0

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.reply_tokens


class ReplayReplicas:
    """The caches of a fleet. A step is a whole request: its blocks are in the cache from its start on."""

    def __init__(self, engine: ReplayEngine, schedule: Schedule, num_replicas: int, progress: Progress) -> None:
        from cachelab.prefix_cache.kernels import lru

        self._lru = lru
        self._engine = engine
        self._progress = progress
        self.rules, self.block_size = engine.counting(schedule)
        longest = None if self.rules == "trace" else engine.max_model_len
        self.rejected: dict[str, RequestRecord] = {}
        admitted: list[Request] = []
        wanted: list[int] = []
        replies: list[int] = []
        for request in schedule:
            prompt = len(request.prompt_ids)
            reason = None if longest is None else why_rejected(prompt, longest)
            if reason is not None:
                self.rejected[request.id] = RequestRecord(
                    request.id, request.conversation_id, request.turn_index, "rejected", prompt, reason
                )
                continue
            admitted.append(request)
            wanted.append(max(1, len(request.reply_ids)))
            replies.append(wanted[-1] if longest is None else min(wanted[-1], longest - prompt))
        self._number = {request.id: number for number, request in enumerate(admitted)}
        self._wanted, self._replies = wanted, replies
        self.accesses = number_blocks(admitted, replies, self.block_size, self.rules).accesses
        self._tokens = self.accesses.prompt_tokens.tolist()
        self._caches = lru.empty_caches.compiled(
            num_replicas, self.accesses.offsets, self.accesses.tails, self.accesses.num_ids, engine.num_blocks - 1
        )
        self._queues: list[deque[_Sent]] = [deque() for _ in range(num_replicas)]
        self._sent = 0
        step_ns = engine.cost.step_ns(0, 0)
        self._ns = step_ns, engine.cost.step_ns(1, 0) - step_ns, engine.cost.step_ns(0, 1)
        self.ended: list[_Sent] = []

    def prepare(self, entry: Entry) -> _Sent | None:
        request = entry.request
        number = self._number.get(request.id)
        if number is None:
            self._progress(1)
            return None
        return _Sent(number, entry, request, self._tokens[number], self._replies[number])

    def cached_tokens(self, sent: _Sent) -> Sequence[int]:
        accesses = self.accesses
        hits = self._lru.found_in_all.compiled(
            self._caches[1], accesses.blocks, accesses.offsets, accesses.lookups, sent.number
        ).tolist()
        return [min(hit * self.block_size, sent.prompt_tokens) for hit in hits]

    def prompt_blocks(self, sent: _Sent) -> Sequence[Hashable]:
        begin = int(self.accesses.offsets[sent.number])
        blocks: list[int] = self.accesses.blocks[begin : begin + int(self.accesses.prompt_blocks[sent.number])].tolist()
        return blocks

    def submit(self, replica: int, sent: _Sent) -> None:
        sent.place, self._sent = self._sent, self._sent + 1
        self._queues[replica].append(sent)

    def is_busy(self, replica: int) -> bool:
        return bool(self._queues[replica])

    def step(self, replica: int, now_ns: int) -> int:
        accesses, sent = self.accesses, self._queues[replica][0]
        arrays = (accesses.blocks, accesses.offsets, accesses.lookups, accesses.tails)
        hit = int(self._lru.serve.compiled(*self._caches, replica, *arrays, sent.number, _NO_EVICTORS))
        sent.cached_tokens = min(hit * self.block_size, sent.prompt_tokens)
        prefill = sent.prompt_tokens - sent.cached_tokens
        step_ns, token_ns, decode_ns = self._ns
        sent.starts_ns = now_ns
        chunks = max(-(-prefill // self._engine.max_num_batched_tokens), 1)
        sent.first_token_ns = now_ns + chunks * step_ns + prefill * token_ns
        return sent.first_token_ns + (sent.reply_tokens - 1) * decode_ns

    def take(self, replica: int) -> tuple[_Sent, ...]:
        sent = self._queues[replica].popleft()
        self.ended.append(sent)
        self._progress(1)
        return (sent,)

    def forget(self, replica: int) -> None:
        self._queues[replica].clear()
        self._caches[1][replica] = -1

    def held_blocks(self) -> tuple[int, int]:
        """Different blocks in the caches now, and those in more than one cache."""
        copies = (self._caches[1][:, 0] >= 0).sum(axis=0)
        return int((copies > 0).sum()), int((copies > 1).sum())

    def records(self) -> dict[str, RequestRecord]:
        """The records of all requests by id. Raises ConfigError if the simulated clock has overflowed."""
        found = dict(self.rejected)
        for index, sent in enumerate(sorted(self.ended, key=lambda sent: (sent.starts_ns, sent.place))):
            request, reply = sent.request, sent.reply_tokens
            check_clock(sent.first_token_ns + (reply - 1) * self._ns[2])
            found[request.id] = RequestRecord(
                request.id,
                request.conversation_id,
                request.turn_index,
                "completed",
                sent.prompt_tokens,
                cached_tokens=sent.cached_tokens,
                reply_tokens=reply,
                reply_tokens_cut=self._wanted[sent.number] - reply,
                prefill_index=index,
                submitted_ns=sent.entry.enters_ns,
                first_scheduled_ns=sent.starts_ns,
                first_token_ns=sent.first_token_ns,
                finished_ns=sent.first_token_ns + (reply - 1) * self._ns[2],
            )
        return found


def run_replay(
    engine: ReplayEngine,
    schedule: Schedule,
    progress: Progress,
    num_replicas: int,
    choose: Choose,
    changes: Sequence[Change],
) -> FleetRun:
    """Run the schedule on `num_replicas` replay engines. Raises ConfigError as ReplayEngine.run does."""
    engine = engine.fitted(schedule)
    total = num_replicas + sum(change.action == "add" for change in changes)
    engines = ReplayReplicas(engine, schedule, total, progress)
    loop = FleetLoop(engines, num_replicas, choose, changes)
    loop.run(in_order_of_arrival(schedule))
    records = engines.records()
    in_order = [records[request.id] for request in schedule]
    # By number, the order in which `engines.accesses` has the requests.
    admitted = [record for record in in_order if record.outcome == "completed"]
    counters = engine.counters(
        engines.accesses,
        np.asarray([record.cached_tokens for record in admitted], np.int64),
        np.asarray([record.reply_tokens for record in admitted], np.int64),
    )
    return FleetRun(
        in_order,
        replace(counters, num_blocks=loop.num_replicas * (engine.num_blocks - 1)),
        notes=(NOTES[engines.rules], *((ARRIVAL_NOTE,) if schedule.waits else ()), *fleet_notes(loop)),
        placement=placement_of(loop, in_order, engines.held_blocks()),
    )
