"""What every engine takes and gives."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from cachelab.prefix_cache.accesses import CountingRules
from cachelab.prefix_cache.block_ids import RequestBlocks
from cachelab.request import Request, RequestRecord, Schedule


@dataclass(frozen=True, slots=True)
class EngineCounters:
    """An engine's own counters of one run, and the clock its seconds come from.

    `num_blocks` counts usable blocks (vLLM keeps one null block besides). The prefix-cache counters are vLLM's, in
    tokens, summed over the run's steps: `queries`/`hits` count each request's first prefill, `preempted_*` its
    prefills after a preemption, `host_*` the KV connector's (None when no host tier is on). `num_host_blocks` is the
    host tier's capacity in blocks of the engine's size. `rules` says how blocks are counted (prefix_cache/accesses.py).
    `kv_bytes_per_token` is of the model that the engine knows, if any. `of_vllm` says whether vLLM itself ran and
    counted; it is no part of a comparison of two engines.
    """

    clock: Literal["simulated", "wall"]
    block_size: int
    num_blocks: int
    steps: int
    kv_usage_max: float
    queries_tokens: int
    hits_tokens: int
    preempted_queries_tokens: int
    preempted_hits_tokens: int
    host_queries_tokens: int | None = None
    host_hits_tokens: int | None = None
    num_host_blocks: int | None = None
    rules: CountingRules = "vllm"
    kv_bytes_per_token: int | None = None
    of_vllm: bool = field(default=True, compare=False)


@dataclass(frozen=True, slots=True)
class EngineRun:
    """The records of a run, one for each request of the schedule, in the schedule's order, and the counters.

    `requests` are the requests as they ran, in the same order, with the prompt that was sent and the reply that came
    (None: as they were scheduled). `reference_records` are those of a second engine that ran the same requests (None:
    there was none). `notes` are sentences that a reader of the numbers must know.

    An engine that numbers the blocks of the completed requests, in the order of first prefills, hands them on.
    `comparison_runs` are runs of the same schedule on vLLM's scheduler with other numbers of blocks.
    """

    records: Sequence[RequestRecord]
    counters: EngineCounters
    requests: Sequence[Request] | None = None
    reference_records: Sequence[RequestRecord] | None = None
    notes: tuple[str, ...] = ()
    blocks: RequestBlocks | None = None
    comparison_runs: Sequence["EngineRun"] = ()


Progress = Callable[[int], None]
"""Called with the number of requests that have ended since the last call."""


def why_rejected(prompt_tokens: int, max_model_len: int) -> str | None:
    """Why a prompt cannot run, empty or without room for a token of reply; None if it can."""
    if not prompt_tokens:
        return "prompt of 0 tokens: there is nothing to prefill"
    if prompt_tokens >= max_model_len:
        return f"prompt of {prompt_tokens} tokens leaves no room in max_model_len {max_model_len}"
    return None


class Engine(Protocol):
    """Runs a schedule."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str | None:
        """The version of the vLLM that runs; None for an engine without it."""
        ...

    @property
    def block_size(self) -> int: ...

    def run(self, schedule: Schedule, progress: Progress) -> EngineRun:
        """Run every request. Raises EngineError if the engine cannot be built or loses a request."""
        ...
