"""The ideal: what an unlimited cache hits when the requests run in the same order, one at a time."""

import numpy as np

from cachelab.metrics.base import Metric, Ratio
from cachelab.metrics.hit_rate import NO_BLOCK, NONE_COMPLETED, first_prefill
from cachelab.metrics.hits import Int64s
from cachelab.metrics.observation import Observation


def ideal_hit_blocks(observation: Observation) -> Int64s:
    """Prompt blocks that each completed request finds in an unlimited cache. int64, shape (num_completed,).

    vLLM always computes the last prompt token, so at most prompt_tokens - 1 tokens can be hit. The rules of block
    traces have no such limit.
    """
    return observation.accesses.ideal_hit_blocks()


def ideal(observation: Observation) -> Ratio:
    """Ideal hit blocks of full prompt blocks."""
    return Ratio(int(ideal_hit_blocks(observation).sum()), int(observation.full_blocks.sum()))


def of_ideal(observation: Observation) -> Ratio:
    """Hit blocks of ideal hit blocks."""
    return Ratio(first_prefill(observation).numerator, ideal(observation).numerator)


def ideal_tokens(observation: Observation) -> Ratio:
    """Tokens in the ideal hit blocks of prompt tokens."""
    return Ratio(int(ideal_cached_tokens(observation).sum()), int(observation.prompt_tokens.sum()))


def ideal_steady(observation: Observation) -> Ratio:
    """Tokens in the ideal hit blocks of prompt tokens over the second half of the requests."""
    half = len(observation.completed) // 2
    return Ratio(int(ideal_cached_tokens(observation)[half:].sum()), int(observation.prompt_tokens[half:].sum()))


def ideal_cached_tokens(observation: Observation) -> Int64s:
    """Prompt tokens that each completed request would find in an unlimited cache. Shape: (num_completed,)."""
    return observation.accesses.cached_tokens(ideal_hit_blocks(observation))


def _ideal_per_request(observation: Observation) -> float | None:
    if not observation.completed:
        return None
    return float(np.mean(ideal_cached_tokens(observation) / observation.prompt_tokens))


METRICS = (
    Metric(
        "hit_rate/ideal",
        "ratio",
        "Block hit rate of an unlimited cache for the completed requests in the same order, one at a time.",
        lambda observation: ideal(observation).value,
        NO_BLOCK,
    ),
    Metric(
        "hit_rate/ideal_tokens",
        "ratio",
        "hit_rate/first_prefill_tokens of the same unlimited cache.",
        lambda observation: ideal_tokens(observation).value,
        NONE_COMPLETED,
    ),
    Metric(
        "hit_rate/ideal_per_request_mean",
        "ratio",
        "hit_rate/per_request_mean of the same unlimited cache.",
        _ideal_per_request,
        NONE_COMPLETED,
    ),
    Metric(
        "hit_rate/ideal_steady",
        "ratio",
        "hit_rate/steady of the same unlimited cache.",
        lambda observation: ideal_steady(observation).value,
        NONE_COMPLETED,
    ),
    Metric(
        "hit_rate/of_ideal",
        "ratio",
        "hit_rate/first_prefill / hit_rate/ideal: hit blocks / blocks that an unlimited cache hits.",
        lambda observation: of_ideal(observation).value,
        "hit_rate/ideal is 0 or absent",
    ),
)
