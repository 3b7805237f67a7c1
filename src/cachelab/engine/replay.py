"""The exact prefix cache without vLLM: one request at a time, vLLM's rules for blocks, no scheduler."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import Field, ValidationError
from pydantic.dataclasses import dataclass

from cachelab.engine.base import EngineCounters, EngineRun, Progress, why_rejected
from cachelab.engine.history import SIMULATED
from cachelab.engine.sim import SimEngine
from cachelab.engine.sizes import BlockSize, ModelLength, check_blocks
from cachelab.engine.step_cost import StepCost, check_clock
from cachelab.error_format import reason
from cachelab.errors import ConfigError
from cachelab.model.kv_model import KvModel
from cachelab.prefix_cache.accesses import BlockAccesses, CountingRules, Int64s, lru_hit_blocks
from cachelab.prefix_cache.block_ids import number_blocks, trace_block_size
from cachelab.request import Request, RequestRecord, Schedule
from cachelab.strict_config import STRICT, Count

NOTES: Mapping[CountingRules, str] = {
    "vllm": SIMULATED["recorded"],
    "trace": "history=recorded: as tools for block traces count, replies leave no blocks behind.",
}
"""What a reader of the numbers must know of each set of rules."""


@dataclass(frozen=True, config=STRICT)
class ReplayEngine:
    """A prefix cache of `num_blocks` - 1 blocks (vLLM keeps a null block) and the least recently used eviction of vLLM.

    Exact: records, times and counters are those of SimEngine at max_num_seqs=1, whatever the order; the lanes of a
    stage take turns as they do there. It knows no KV connector and no cache that is switched off.

    With `rules` trace, blocks are counted as tools for block traces do (see docs/replay.md): `block_size` is then the
    trace's, and no request is rejected for its length. `auto` takes vllm, and trace for a block trace.

    `kv_model` says how many GiB blocks are worth. `sim_at` are numbers of blocks with
    which SimEngine runs the same schedule beside; it knows vLLM's rules only.
    """

    block_size: BlockSize = 16
    max_model_len: ModelLength = 8192
    max_num_seqs: Count = 1
    num_blocks: Count = 10_000
    max_num_batched_tokens: Count = 8192
    rules: Literal["auto", "vllm", "trace"] = "auto"
    kv_model: KvModel = field(default_factory=KvModel)
    sim_at: Annotated[list[Count], Field(max_length=100)] = field(default_factory=list)
    cost: StepCost = field(default_factory=StepCost)

    def __post_init__(self) -> None:
        if self.max_num_seqs != 1:
            raise ConfigError(
                f"engine.max_num_seqs: {self.max_num_seqs}, but replay runs one request at a time: set it to 1, "
                "or take engine=sim"
            )
        if self.num_blocks < 2:
            raise ConfigError("engine.num_blocks: 1 block is vLLM's null block and holds nothing: set 2 or more")
        for num_blocks in self.sim_at:
            try:
                self._sim(num_blocks)
            except (ConfigError, ValidationError) as error:
                raise ConfigError(
                    f"engine.sim_at: engine=sim cannot run with {num_blocks} blocks: {reason(error)}"
                ) from error

    @property
    def name(self) -> str:
        return "replay"

    @property
    def version(self) -> str | None:
        return None

    def run(self, schedule: Schedule, progress: Progress) -> EngineRun:
        """Run every request. Raises ConfigError if the rules or the number of blocks do not fit the requests."""
        rules, block_size = self._counting(schedule)
        admitted, records = self._admit(schedule, rules)
        order = [entry.request for entry in admitted]
        prompts = np.asarray([len(request.prompt_ids) for request in order], np.int64)
        wanted = np.asarray([max(1, len(request.reply_ids)) for request in order], np.int64)
        replies = wanted if rules == "trace" else np.minimum(wanted, self.max_model_len - prompts)
        blocks = number_blocks(order, replies.tolist(), block_size, rules)
        cached = blocks.accesses.cached_tokens(lru_hit_blocks(blocks.accesses, self.num_blocks - 1))
        records |= self._completed(admitted, prompts, cached, replies, wanted - replies)
        progress(len(schedule))
        counters = self._counters(blocks.accesses, cached, replies)
        comparison_runs = [self._sim(num_blocks).run(schedule, lambda ended: None) for num_blocks in self.sim_at]
        return EngineRun(
            [records[request.id] for request in schedule],
            counters,
            notes=(NOTES[rules],),
            blocks=blocks,
            comparison_runs=comparison_runs,
        )

    def _sim(self, num_blocks: int) -> SimEngine:
        return SimEngine(
            block_size=self.block_size,
            max_model_len=self.max_model_len,
            max_num_seqs=1,
            num_blocks=num_blocks,
            max_num_batched_tokens=self.max_num_batched_tokens,
            cost=self.cost,
            kv_model=self.kv_model,
        )

    def _counting(self, schedule: Schedule) -> tuple[CountingRules, int]:
        """The rules of this run and its block size."""
        listed = trace_block_size(schedule)
        rules: CountingRules = ("vllm" if listed is None else "trace") if self.rules == "auto" else self.rules
        if rules == "trace":
            if listed is None and len(schedule):
                raise ConfigError(
                    "engine.rules: trace counts the blocks that a trace lists, and these requests list none of one "
                    "size: set engine.rules=vllm, or take dataset=block_trace"
                )
            if self.sim_at:
                raise ConfigError(
                    "engine.sim_at: vLLM's scheduler does not count by the rules of traces: set engine.rules=vllm"
                )
            return rules, listed or self.block_size
        check_blocks(self.num_blocks, self.block_size, self.max_model_len)
        return rules, self.block_size

    def _admit(self, schedule: Schedule, rules: CountingRules) -> tuple[list["_Admitted"], dict[str, RequestRecord]]:
        """The requests that run, in the order in which they do, and the records of those that cannot."""
        rejected: dict[str, RequestRecord] = {}

        def next_of(lane: Iterator[Request]) -> Request | None:
            for request in lane:
                length = len(request.prompt_ids)
                reason = None if rules == "trace" else why_rejected(length, self.max_model_len)
                if reason is None:
                    return request
                record = RequestRecord(request.id, request.conversation_id, request.turn_index, "rejected", length)
                rejected[request.id] = replace(record, reason=reason)
            return None

        admitted: list[_Admitted] = []
        for stage in schedule.stages:
            # First come, first served: a lane's next request goes to the end of the line when the one before has ended.
            lanes = [iter(lane) for lane in stage]
            waiting = deque((_Admitted(first, len(admitted)), lane) for lane in lanes if (first := next_of(lane)))
            while waiting:
                entry, lane = waiting.popleft()
                admitted.append(entry)
                if (request := next_of(lane)) is not None:
                    waiting.append((_Admitted(request, len(admitted)), lane))
        return admitted, rejected

    def _completed(
        self, admitted: Sequence["_Admitted"], prompts: Int64s, cached: Int64s, replies: Int64s, cut: Int64s
    ) -> dict[str, RequestRecord]:
        """Records with the times that the cost model gives to one request after another."""
        step_ns, decode_ns = self.cost.step_ns(0, 0), self.cost.step_ns(0, 1)
        token_ns = self.cost.step_ns(1, 0) - step_ns
        prefill = prompts - cached
        chunks = self._chunks(prefill)
        # Python's integers do not wrap round, as numpy's would.
        check_clock(int(chunks.sum()) * step_ns + int(prefill.sum()) * token_ns + int((replies - 1).sum()) * decode_ns)
        to_first_token = chunks * step_ns + prefill * token_ns
        ends = np.cumsum(to_first_token + (replies - 1) * decode_ns)
        ends_from_start = np.concatenate([np.zeros(1, np.int64), ends])
        starts = ends_from_start[:-1]
        submitted = ends_from_start[[entry.after for entry in admitted]]
        columns = (prompts, cached, replies, cut, submitted, starts, starts + to_first_token, ends)
        rows = zip(admitted, *(column.tolist() for column in columns), strict=True)
        return {
            request.id: RequestRecord(
                request.id,
                request.conversation_id,
                request.turn_index,
                "completed",
                prompt,
                cached_tokens=hit,
                reply_tokens=reply,
                reply_tokens_cut=lost,
                prefill_index=index,
                submitted_ns=submitted_ns,
                first_scheduled_ns=start_ns,
                first_token_ns=token_ns,
                finished_ns=end_ns,
            )
            for index, ((request, _), prompt, hit, reply, lost, submitted_ns, start_ns, token_ns, end_ns) in enumerate(
                rows
            )
        }

    def _chunks(self, prefill: Int64s) -> Int64s:
        """Steps of each prefill; a prompt that is cached whole (rules of traces) still takes one."""
        return np.maximum(-(-prefill // self.max_num_batched_tokens), 1)

    def _counters(self, accesses: BlockAccesses, cached: Int64s, replies: Int64s) -> EngineCounters:
        usable = self.num_blocks - 1
        # A reply's tokens but for the last go in as one batch after the prefill, as SimEngine's jump does.
        decodes = -(-(replies - 1) // self.max_num_batched_tokens)
        return EngineCounters(
            clock="simulated",
            block_size=accesses.block_size,
            num_blocks=usable,
            steps=int((self._chunks(accesses.prompt_tokens - cached) + decodes).sum()),
            kv_usage_max=1.0 - max(usable - accesses.most_slots, 0) / usable if accesses.num_requests else 0.0,
            queries_tokens=int(accesses.prompt_tokens.sum()),
            hits_tokens=int(cached.sum()),
            preempted_queries_tokens=0,
            preempted_hits_tokens=0,
            rules=accesses.rules,
            kv_bytes_per_token=self.kv_model.bytes_per_token,
            of_vllm=False,
        )


class _Admitted(NamedTuple):
    """A request that runs, and how many requests had ended when it was submitted."""

    request: Request
    after: int
