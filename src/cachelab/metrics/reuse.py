"""Reuse gaps: how long a block waits from one hit to the next."""

from cachelab.metrics.distribution import distribution
from cachelab.metrics.observation import Observation, memoize
from cachelab.metrics.sample import WeightedSample

_STATISTICS = ("mean", "min", "max", "p50", "p95")


@memoize
def gaps_s(observation: Observation) -> WeightedSample:
    """Seconds of the engine's clock between consecutive hits of one block, over all blocks."""
    return observation.hits.gaps_in(observation.hits.time_ns).per(10**9)


@memoize
def gaps_requests(observation: Observation) -> WeightedSample:
    """The same in first prefills: 1 is the next request."""
    return observation.hits.gaps_in(observation.hits.prefill_index)


_NO_REUSE = "no block was hit twice"

METRICS = (
    *distribution("reuse_gap/{}_s", "s", "time between consecutive hits of one block", gaps_s, _STATISTICS, _NO_REUSE),
    *distribution(
        "reuse_gap/{}_requests",
        "requests",
        "number of first prefills from one hit of a block to the next",
        gaps_requests,
        _STATISTICS,
        _NO_REUSE,
    ),
)
