"""How much the engine worked, and with how much cache."""

from cachelab.metrics.base import Metric

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
)
