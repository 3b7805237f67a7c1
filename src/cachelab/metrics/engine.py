"""How much the engine worked, and with how much cache."""

from cachelab.metrics.base import Metric
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
    ),
    Metric(
        "engine/num_blocks",
        "blocks",
        "Usable KV-cache blocks of the engine, vLLM's null block not counted.",
        lambda observation: float(observation.counters.num_blocks),
    ),
    Metric(
        "engine/kv_usage_max",
        "ratio",
        "Highest share of the usable KV-cache blocks in use during the run.",
        lambda observation: float(observation.counters.kv_usage_max),
    ),
    Metric(
        "engine/num_host_blocks",
        "blocks",
        "KV-cache blocks that the host tier can hold.",
        _num_host_blocks,
    ),
)
