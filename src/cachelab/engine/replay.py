"""The exact prefix cache without vLLM: vLLM's rules for blocks, one request at a time, no scheduler."""

from collections.abc import Mapping
from dataclasses import field, replace
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, ValidationError
from pydantic.dataclasses import dataclass

from cachelab.engine.base import EngineCounters, EngineRun, Progress
from cachelab.engine.policy.base import Policy, Replayed
from cachelab.engine.policy.lru import Lru
from cachelab.engine.replay_order import admit, in_order_of_arrival
from cachelab.engine.replay_records import chunks_of, completed
from cachelab.engine.sim import SimEngine
from cachelab.engine.sizes import EngineSizes, model_length
from cachelab.engine.step_cost import StepCost
from cachelab.error_format import reason
from cachelab.errors import ConfigError
from cachelab.model.kv_model import KvModel
from cachelab.prefix_cache.accesses import BlockAccesses, CountingRules, Int64s
from cachelab.prefix_cache.request_blocks import number_blocks, trace_block_size
from cachelab.request import Schedule
from cachelab.strict_config import STRICT, Count

ARRIVAL_NOTE = (
    "A replay has no time: the requests ran one at a time, in the order in which they would enter if replies took no "
    "time, and its seconds leave out all waiting. engine=sim runs the same order in time."
)
"""What readers must know about the replay of a schedule with times."""

NOTES: Mapping[CountingRules, str] = {
    "vllm": "The replies are those of the dataset: the next turn can hit their blocks. A replay generates nothing.",
    "trace": "Replies leave no blocks in the cache, as in other tools for block traces.",
}
"""What readers of the numbers must know about each set of rules."""


@dataclass(frozen=True, config=STRICT)
class ReplayEngine(EngineSizes):
    """A prefix cache of `num_blocks` - 1 usable blocks.

    `policy` evicts: by default the least recently used block, as vLLM does. Records, times and counters are then equal
    to those of SimEngine with max_num_seqs=1, in every order without times. Of a schedule with times it takes only the
    order of arrival (`ARRIVAL_NOTE`), and the times if blocks expire. A KV connector and a disabled prefix cache are
    not supported.

    `rules`: `vllm` counts blocks as vLLM does. `trace` counts them as other tools for block traces do (docs/replay.md):
    the block size is then the trace's, and no request is rejected for its length. `auto` is `trace` for a block trace,
    else `vllm`. `kv_model` sets how many blocks fit in one GiB. `sim_at`: numbers of blocks with which SimEngine also
    runs the schedule, by vLLM's rules. With `max_model_len` None only requests that the cache cannot hold are rejected.
    The sizes are described in EngineSizes.
    """

    max_num_seqs: Count = 1
    num_blocks: Count = 10_000  # more than vLLM can have: a block is a number here, not a Python object
    rules: Literal["auto", "vllm", "trace"] = "auto"
    kv_model: KvModel = field(default_factory=KvModel)
    sim_at: Annotated[list[Count], Field(max_length=100)] = field(default_factory=list)
    policy: Policy = field(default_factory=Lru)
    cost: StepCost = field(default_factory=StepCost)

    def __post_init__(self) -> None:
        if self.max_num_seqs != 1:
            raise ConfigError(
                f"engine.max_num_seqs: {self.max_num_seqs}, but replay runs one request at a time: set it to 1, "
                "or use engine=sim"
            )
        if self.num_blocks < 2:
            raise ConfigError(
                "engine.num_blocks: the only block is vLLM's null block, which is never used: set 2 or more"
            )
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
        """Run every request. Raises ConfigError if the rules or the number of blocks do not match the requests."""
        if self.max_model_len is None:
            return self.fitted(schedule).run(schedule, progress)
        rules, block_size = self.counting(schedule)
        submitted, schedule = schedule, in_order_of_arrival(schedule)
        admitted, records = admit(schedule, None if rules == "trace" else self.max_model_len)
        order = [entry.request for entry in admitted]
        prompts = np.asarray([len(request.prompt_ids) for request in order], np.int64)
        wanted = np.asarray([max(1, len(request.reply_ids)) for request in order], np.int64)
        replies = wanted if rules == "trace" else np.minimum(wanted, self.max_model_len - prompts)
        blocks = number_blocks(order, replies.tolist(), block_size, rules)
        replayed = Replayed(submitted, order, blocks.accesses)
        kept = self.policy.run(replayed, self.num_blocks - 1)
        cached = blocks.accesses.cached_tokens(kept.hit_blocks)
        records |= completed(
            self.cost, self.max_num_batched_tokens, admitted, prompts, cached, replies, wanted - replies
        )
        progress(len(schedule))
        counters = replace(self.counters(blocks.accesses, cached, replies), lifetime_s=kept.lifetime_s)
        comparison_runs = [self._sim(num_blocks).run(schedule, lambda ended: None) for num_blocks in self.sim_at]
        return EngineRun(
            [records[request.id] for request in submitted],
            counters,
            notes=(NOTES[rules], *((ARRIVAL_NOTE,) if submitted.waits else ()), *self._policy_notes, *kept.notes),
            blocks=blocks,
            comparison_runs=comparison_runs,
        )

    @property
    def _policy_notes(self) -> tuple[str, ...]:
        if self.policy.name == "lru":
            return ()
        return (f"Blocks were evicted by engine/policy={self.policy.name}; vLLM itself evicts by LRU.",)

    def fitted(self, schedule: Schedule) -> "ReplayEngine":
        """The engine with a `max_model_len`: that of the longest request, as far as the cache holds it."""
        if self.max_model_len is not None:
            return self
        return replace(self, max_model_len=model_length(schedule, self.num_blocks, self.block_size))

    def _sim(self, num_blocks: int) -> SimEngine:
        return SimEngine(**self.sizes(num_blocks=num_blocks), cost=self.cost, kv_model=self.kv_model)

    def counting(self, schedule: Schedule) -> tuple[CountingRules, int]:
        """The rules and the block size of a run. Raises ConfigError if the rules do not match the requests."""
        listed = trace_block_size(schedule)
        rules: CountingRules = ("vllm" if listed is None else "trace") if self.rules == "auto" else self.rules
        if rules == "trace":
            if listed is None and len(schedule):
                raise ConfigError(
                    "engine.rules: trace counts the blocks that a block trace lists, and these requests list no "
                    "blocks, or blocks of several sizes: set engine.rules=vllm, or use dataset=block_trace"
                )
            if self.sim_at:
                raise ConfigError(
                    "engine.sim_at: vLLM's scheduler cannot count by the rules of block traces: set engine.rules=vllm"
                )
            return rules, listed or self.block_size
        self.check_sizes()
        return rules, self.block_size

    def counters(self, accesses: BlockAccesses, cached: Int64s, replies: Int64s) -> EngineCounters:
        """The counters of a run. `cached` and `replies`: tokens of each request. Shape of both: (num_requests,)."""
        usable = self.num_blocks - 1
        # All reply tokens but the last are computed as one batch after the prefill, as SimEngine's jump does.
        decodes = -(-(replies - 1) // self.max_num_batched_tokens)
        return EngineCounters(
            clock="simulated",
            block_size=accesses.block_size,
            num_blocks=usable,
            steps=int((chunks_of(accesses.prompt_tokens - cached, self.max_num_batched_tokens) + decodes).sum()),
            kv_usage_max=1.0 - max(usable - accesses.most_slots, 0) / usable if accesses.num_requests else 0.0,
            queries_tokens=int(accesses.prompt_tokens.sum()),
            hits_tokens=int(cached.sum()),
            preempted_queries_tokens=0,
            preempted_hits_tokens=0,
            rules=accesses.rules,
            kv_bytes_per_token=self.kv_model.bytes_per_token,
            of_vllm=False,
            policy=self.policy.name,
        )
