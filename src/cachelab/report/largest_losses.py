"""The largest losses of a run, with what to try against each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cachelab.metrics.base import Ratio
from cachelab.metrics.losses import TERMS, lost
from cachelab.pipeline import Result
from cachelab.prefix_cache.request_blocks import is_block_trace
from cachelab.report.losses_figure import LABELS
from cachelab.report.section import percent


@dataclass(frozen=True, slots=True)
class LargeLoss:
    """A term of the losses: its name, its share of all prompt tokens, and what to try."""

    label: str
    share: Ratio
    advice: str

    @property
    def line(self) -> str:
        """The loss as one line."""
        return f"largest loss: {self.label}, {percent(self.share.value)} of the prompt tokens"

    @property
    def short(self) -> str:
        """The loss as some words: its name without the explanation in brackets, its share."""
        return f"{self.label.partition(' (')[0]} {percent(self.share.value)}"


def largest_losses(result: Result, most: int = 3) -> list[LargeLoss]:
    """At most `most` losses that are not 0, the largest first; empty if none was measured."""
    if not result.observation.completed:
        return []
    found = [(term, lost(result.observation, term)) for term in TERMS if term != "reused"]
    ranked = sorted((pair for pair in found if pair[1].numerator), key=lambda pair: -pair[1].numerator)
    return [LargeLoss(LABELS[term], share, _advice(term, result)) for term, share in ranked[:most]]


def _advice(term: str, result: Result) -> str:
    counters, values = result.run.counters, result.numbers.values
    placement = result.observation.placement
    replicas = 1 if placement is None else placement.num_replicas
    if term == "never_seen" and is_block_trace(result.workload.requests):
        return "no cache size helps: no earlier request had these blocks"
    if term == "never_seen":
        return "no cache size helps; if a prefix should repeat, explain=causes shows what changes"
    if term in ("block_rounding", "last_token"):
        smaller = counters.block_size // 2
        if not smaller or counters.rules == "trace":
            return "no setting helps: the blocks are the trace's own"
        if counters.clock != "simulated":  # a real engine takes only some sizes
            return "smaller blocks (engine.block_size), as far as the engine has them"
        return f"smaller blocks: engine.block_size={smaller}"
    if term == "routing":
        return "a router that follows the caches or the conversation: fleet/router=prefix_aware or sticky"
    if term == "in_flight" and replicas > 1:
        return "send requests with the same prefix one after another, or to one replica: fleet/router=prefix_aware"
    if term == "in_flight":
        return "send requests with the same prefix one after another, or set a smaller engine.max_num_seqs"
    if term == "expired":
        return "a longer engine.policy.ttl_s, or requests that come sooner after one another"
    if counters.policy != "lru":  # the known sizes are those of LRU
        return "more blocks (engine.num_blocks), or another engine/policy"
    usable = counters.num_blocks
    larger = None if usable is None else next(_larger_caches(usable, replicas, values), None)
    more = "more blocks (engine.num_blocks)" if larger is None else f"engine.num_blocks={larger}"
    if replicas > 1:
        more += " on each replica"
    if term != "other":
        return more
    fewer = ", fewer replicas" if replicas > 1 else ""
    return f"{more}{fewer} or fewer requests at once (engine.max_num_seqs)"


def _larger_caches(usable: int, replicas: int, values: Mapping[str, float]) -> Iterator[int]:
    """The sizes for engine.num_blocks that lose less: knee, then size without evictions; one block is vLLM's.

    With replicas both sizes are those of one cache with the blocks of all: each replica has its part of them.
    """
    for name in ("capacity/knee_blocks", "capacity/enough_blocks"):
        blocks = values.get(name)
        if blocks is not None and blocks > usable:
            yield -(-int(blocks) // replicas) + 1
