"""The ceiling: what an infinite cache would hit when the requests run in the same order, one at a time."""

from cachelab.metrics.base import Metric
from cachelab.metrics.hit_rate import first_prefill
from cachelab.metrics.hits import Int64s
from cachelab.metrics.observation import Observation
from cachelab.metrics.ratio import Ratio


def ideal_hit_blocks(observation: Observation) -> Int64s:
    """Prompt blocks that each completed request would find in an infinite cache. Shape: (num_completed,).

    vLLM computes at least the last prompt token itself, so that at most prompt_tokens - 1 tokens are ever hit; the
    rules of traces know no such limit.
    """
    return observation.paths.ideal_hit_blocks()


def ideal(observation: Observation) -> Ratio:
    """In blocks: ideal hit blocks of full prompt blocks."""
    return Ratio(int(ideal_hit_blocks(observation).sum()), int(observation.full_blocks.sum()))


def of_ideal(observation: Observation) -> Ratio:
    """In blocks: hit blocks of ideal hit blocks."""
    return Ratio(first_prefill(observation).numerator, ideal(observation).numerator)


METRICS = (
    Metric(
        "hit_rate/ideal",
        "ratio",
        "Block hit rate of an infinite cache for the completed requests in the same order, one at a time.",
        lambda observation: ideal(observation).value,
    ),
    Metric(
        "hit_rate/of_ideal",
        "ratio",
        "hit_rate/first_prefill / hit_rate/ideal: hit blocks / blocks that an infinite cache would hit.",
        lambda observation: of_ideal(observation).value,
    ),
)
