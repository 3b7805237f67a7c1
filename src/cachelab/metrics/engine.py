"""The engine's steps, its cache size and the use of it."""

from cachelab.metrics.base import NEVER, Metric
from cachelab.metrics.observation import Observation


def _num_host_blocks(observation: Observation) -> float | None:
    blocks = observation.counters.num_host_blocks
    return None if blocks is None else float(blocks)


METRICS = (
    Metric(
        "engine/steps",
        "steps",
        "Scheduler steps of the run.",
        lambda observation: float(observation.counters.steps),
        NEVER,
    ),
    Metric(
        "engine/num_blocks",
        "blocks",
        "Usable KV-cache blocks of the engine, without vLLM's null block.",
        lambda observation: float(observation.counters.num_blocks),
        NEVER,
    ),
    Metric(
        "engine/kv_usage_max",
        "ratio",
        "Highest share of the usable KV-cache blocks that running requests held.",
        lambda observation: float(observation.counters.kv_usage_max),
        NEVER,
    ),
    Metric(
        "engine/num_host_blocks",
        "blocks",
        "KV-cache blocks that the host tier can hold.",
        _num_host_blocks,
        "there is no host tier",
    ),
)
