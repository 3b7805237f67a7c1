"""The protocol of engines, and what a run returns."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from cachelab.engine.kv_layout import KvLayout
from cachelab.engine.step_points import StepPoints
from cachelab.prefix_cache.accesses import CountingRules
from cachelab.prefix_cache.request_blocks import RequestBlocks
from cachelab.request import Request, RequestRecord, Schedule


@dataclass(frozen=True, slots=True)
class EngineCounters:
    """The engine's own counters of one run, and the clock of its times.

    `num_blocks` counts the usable blocks, without vLLM's null block. The prefix-cache counters are vLLM's, in tokens,
    summed over the run's steps: `queries` and `hits` of the first prefills, `preempted_*` of the prefills after a
    preemption, `host_*` of the KV connector (None without a host tier). `num_host_blocks` is the host tier's capacity
    in blocks of the engine's block size. `kv_usage_max` is a share from 0 to 1 (None: not measured). `rules`: how
    blocks are counted (prefix_cache/accesses.py). `kv_bytes_per_token`: KV-cache bytes per token of the model, None if
    unknown. `layout`: the groups of the model's layers (None: one group of full attention); `block_size` is the unit of
    its hits. `of_vllm`: whether vLLM ran and counted. Two engines can be equal without these two. `policy`: the name of
    what decides which block leaves the cache. `lifetime_s`: seconds after its last use at which a block expires
    (None: never). A server may not say some numbers: they are None.
    """

    clock: Literal["simulated", "wall"]
    block_size: int
    num_blocks: int | None
    steps: int | None
    kv_usage_max: float | None
    queries_tokens: int | None
    hits_tokens: int | None
    preempted_queries_tokens: int | None
    preempted_hits_tokens: int | None
    host_queries_tokens: int | None = None
    host_hits_tokens: int | None = None
    num_host_blocks: int | None = None
    rules: CountingRules = "vllm"
    kv_bytes_per_token: float | None = None
    layout: KvLayout | None = field(default=None, compare=False)
    of_vllm: bool = field(default=True, compare=False)
    policy: str = "lru"
    lifetime_s: float | None = None


@dataclass(frozen=True, slots=True)
class EngineRun:
    """The result of a run: one record per request, in the order of the schedule, and the counters.

    `requests`: the requests as they ran, in the same order, with the prompt that was sent and the reply that the engine
    gave (None: as scheduled). `reference_records`: the records of a second engine that ran the same requests (None: no
    second engine ran). `notes`: sentences that a reader of the numbers must know. `blocks`: the blocks of the completed
    requests in the order of first prefills, if the engine has numbered them. `comparison_runs`: runs of the same
    schedule on vLLM's scheduler with other numbers of blocks. `steps`: the measured scheduler steps of an engine with a
    model (None: not measured). `failure`: why the run failed, after it stopped early or completed no request; the
    requests that it left out are rejected (None: it did not fail).
    """

    records: Sequence[RequestRecord]
    counters: EngineCounters
    requests: Sequence[Request] | None = None
    reference_records: Sequence[RequestRecord] | None = None
    notes: tuple[str, ...] = ()
    blocks: RequestBlocks | None = None
    comparison_runs: Sequence["EngineRun"] = ()
    steps: StepPoints | None = None
    failure: str | None = None


class RunInterrupted(KeyboardInterrupt):
    """A signal ended a run; `run` holds what had ended, and the other requests as rejected."""

    def __init__(self, run: EngineRun) -> None:
        super().__init__("interrupted")
        self.run = run


Progress = Callable[[int], None]
"""Called with the number of requests that have ended since the last call."""


def why_rejected(prompt_tokens: int, max_model_len: int) -> str | None:
    """Why a prompt cannot run: it is empty, or leaves no room for one token of reply. None if it can run."""
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
        """The version of vLLM; None for an engine that does not use vLLM."""
        ...

    @property
    def block_size(self) -> int: ...

    def run(self, schedule: Schedule, progress: Progress) -> EngineRun:
        """Run every request of the schedule. Raises EngineError if the engine cannot be built or loses a request."""
        ...
