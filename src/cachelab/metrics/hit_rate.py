"""Hit rates: the share of the prompts that was found in the prefix cache."""

from collections.abc import Callable, Mapping

import numpy as np

from cachelab.metrics.base import Metric, Ratio
from cachelab.metrics.observation import Observation

NO_BLOCK = "no completed request has a full prompt block"
NONE_COMPLETED = "no request completed"
_NO_QUERIES = "vLLM counted no queries or did not run (`engine=replay`), or a server does not say it (`engine=server`)"
_NO_HOST_BLOCK = f"there is no host tier, or {NO_BLOCK}"


def first_prefill(observation: Observation) -> Ratio:
    """Hit blocks of full prompt blocks."""
    return Ratio(int(observation.hit_blocks.sum()), int(observation.full_blocks.sum()))


def first_prefill_tokens(observation: Observation) -> Ratio:
    """Cached prompt tokens of prompt tokens."""
    return Ratio(int(observation.cached_tokens.sum()), int(observation.prompt_tokens.sum()))


def steady(observation: Observation) -> Ratio:
    """Cached prompt tokens of prompt tokens over the second half of the requests, without the cold start."""
    half = len(observation.completed) // 2
    return Ratio(int(observation.cached_tokens[half:].sum()), int(observation.prompt_tokens[half:].sum()))


def later_turns(observation: Observation) -> Ratio:
    """Cached prompt tokens of prompt tokens over the requests that are not the first turn of their conversation."""
    later = np.asarray([record.turn_index > 0 for record in observation.completed], dtype=bool)
    return Ratio(int(observation.cached_tokens[later].sum()), int(observation.prompt_tokens[later].sum()))


def vllm_gpu(observation: Observation) -> Ratio:
    """Hits of queries of vLLM's prefix-cache counters, in tokens; 0 of 0 if vLLM did not run or did not say them."""
    if not observation.counters.of_vllm:
        return Ratio(0, 0)
    return Ratio(observation.counters.hits_tokens or 0, observation.counters.queries_tokens or 0)


def vllm_gpu_all_prefills(observation: Observation) -> Ratio:
    """The same with the prefills repeated after a preemption; 0 of 0 if vLLM did not run or did not say them."""
    counters = observation.counters
    hits, queries = counters.preempted_hits_tokens, counters.preempted_queries_tokens
    if not counters.of_vllm or hits is None or queries is None:
        return Ratio(0, 0)
    return Ratio((counters.hits_tokens or 0) + hits, (counters.queries_tokens or 0) + queries)


def vllm_cpu(observation: Observation) -> Ratio:
    """Hits of queries of vLLM's counters of the host tier, in tokens; 0 of 0 without a host tier."""
    counters = observation.counters
    return Ratio(counters.host_hits_tokens or 0, counters.host_queries_tokens or 0)


def first_prefill_host(observation: Observation) -> Ratio:
    """Blocks found in the host tier of full prompt blocks; 0 of 0 without a host tier."""
    if observation.counters.host_queries_tokens is None:
        return Ratio(0, 0)
    return Ratio(int(observation.host_hit_blocks.sum()), int(observation.full_blocks.sum()))


def first_prefill_all_tiers(observation: Observation) -> Ratio:
    """Blocks found in the engine's own cache or the host tier of full prompt blocks; 0 of 0 without a host tier."""
    host = first_prefill_host(observation)
    return Ratio(host.numerator + int(observation.hit_blocks.sum()), host.denominator) if host.denominator else host


def _per_request_mean(observation: Observation) -> float | None:
    if not observation.completed:
        return None
    return float(np.mean(observation.cached_tokens / observation.prompt_tokens))


RATIOS: Mapping[str, Callable[[Observation], Ratio]] = {
    "hit_rate/first_prefill": first_prefill,
    "hit_rate/first_prefill_tokens": first_prefill_tokens,
    "hit_rate/steady": steady,
    "hit_rate/later_turns": later_turns,
    "hit_rate/vllm_gpu": vllm_gpu,
    "hit_rate/vllm_gpu_all_prefills": vllm_gpu_all_prefills,
    "hit_rate/vllm_cpu": vllm_cpu,
    "hit_rate/first_prefill_host": first_prefill_host,
    "hit_rate/first_prefill_all_tiers": first_prefill_all_tiers,
}
"""The hit rates that are a ratio of two sums, as functions that return both sums."""

METRICS = (
    Metric(
        "hit_rate/first_prefill",
        "ratio",
        "Hit blocks / full prompt blocks, each completed request counted once, at its first prefill.",
        lambda observation: first_prefill(observation).value,
        NO_BLOCK,
    ),
    Metric(
        "hit_rate/first_prefill_tokens",
        "ratio",
        "Cached prompt tokens / prompt tokens, each completed request counted once, at its first prefill.",
        lambda observation: first_prefill_tokens(observation).value,
        NONE_COMPLETED,
    ),
    Metric(
        "hit_rate/per_request_mean",
        "ratio",
        "Mean over the completed requests of cached prompt tokens / prompt tokens at the first prefill.",
        _per_request_mean,
        NONE_COMPLETED,
    ),
    Metric(
        "hit_rate/steady",
        "ratio",
        "Cached prompt tokens / prompt tokens of the last 50 % of the completed requests in order of first prefills.",
        lambda observation: steady(observation).value,
        NONE_COMPLETED,
    ),
    Metric(
        "hit_rate/later_turns",
        "ratio",
        "Cached prompt tokens / prompt tokens of the completed requests that are not their conversation's first turn.",
        lambda observation: later_turns(observation).value,
        "no request completed that is not a first turn",
    ),
    Metric(
        "hit_rate/vllm_gpu",
        "ratio",
        "vLLM's own prefix-cache counters over the whole run: hits / queries, in tokens, first prefills only.",
        lambda observation: vllm_gpu(observation).value,
        _NO_QUERIES,
    ),
    Metric(
        "hit_rate/vllm_gpu_all_prefills",
        "ratio",
        "hit_rate/vllm_gpu with the prefills repeated after a preemption added to hits and queries.",
        lambda observation: vllm_gpu_all_prefills(observation).value,
        _NO_QUERIES,
    ),
    Metric(
        "hit_rate/vllm_cpu",
        "ratio",
        "vLLM's own counters of the host tier (KV connector): external hits / external queries, in tokens.",
        lambda observation: vllm_cpu(observation).value,
        "there is no host tier, or it was never queried",
    ),
    Metric(
        "hit_rate/first_prefill_host",
        "ratio",
        "Blocks found in the host tier / full prompt blocks, each completed request once, at its first prefill.",
        lambda observation: first_prefill_host(observation).value,
        _NO_HOST_BLOCK,
    ),
    Metric(
        "hit_rate/first_prefill_all_tiers",
        "ratio",
        "hit_rate/first_prefill + hit_rate/first_prefill_host: the engine's own cache and the host tier together.",
        lambda observation: first_prefill_all_tiers(observation).value,
        _NO_HOST_BLOCK,
    ),
)
