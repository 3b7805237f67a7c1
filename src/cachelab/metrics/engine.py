"""The engine's steps, its cache size and the use of it."""

from collections.abc import Callable

from cachelab.engine.kv_layout import KvLayout
from cachelab.metrics.base import Metric
from cachelab.metrics.observation import Observation


def _num_host_blocks(observation: Observation) -> float | None:
    return _float(observation.counters.num_host_blocks)


def _float(number: int | None) -> float | None:
    return None if number is None else float(number)


def _of_layout(number: Callable[[KvLayout], float]) -> Callable[[Observation], float | None]:
    def compute(observation: Observation) -> float | None:
        layout = observation.counters.layout
        return None if layout is None else float(number(layout))

    return compute


_UNSAID = "a server does not say it (`engine=server`)"
_NO_LAYOUT = "vLLM did not run (`engine=replay`)"

METRICS = (
    Metric(
        "engine/steps",
        "steps",
        "Scheduler steps of the run.",
        lambda observation: _float(observation.counters.steps),
        _UNSAID,
    ),
    Metric(
        "engine/num_blocks",
        "blocks",
        "Usable KV-cache blocks of the engine, without vLLM's null block.",
        lambda observation: _float(observation.counters.num_blocks),
        _UNSAID,
    ),
    Metric(
        "engine/kv_usage_max",
        "ratio",
        "Highest share of the usable KV-cache blocks that running requests held.",
        lambda observation: observation.counters.kv_usage_max,
        "a server was measured (`engine=server`)",
    ),
    Metric(
        "engine/num_host_blocks",
        "blocks",
        "KV-cache blocks that the host tier can hold.",
        _num_host_blocks,
        "there is no host tier",
    ),
    Metric(
        "engine/kv_groups",
        "groups",
        "Groups of layers that share blocks, as vLLM made them.",
        _of_layout(lambda layout: len(layout.groups)),
        _NO_LAYOUT,
    ),
    Metric(
        "engine/kv_hit_alignment",
        "tokens",
        "The length of a hit is a multiple of this many tokens: the block of all block metrics of the run.",
        _of_layout(lambda layout: layout.hit_alignment),
        _NO_LAYOUT,
    ),
    Metric(
        "engine/kv_bytes_per_token",
        "bytes",
        "KV-cache bytes of one more token of a long request; 0 if no group holds all tokens.",
        _of_layout(lambda layout: layout.bytes_per_token),
        _NO_LAYOUT,
    ),
    Metric(
        "engine/kv_tokens_that_fit",
        "tokens",
        "vLLM's KV cache size: the tokens of as many requests of max_model_len as the blocks hold at once.",
        _of_layout(lambda layout: layout.tokens_that_fit),
        _NO_LAYOUT,
    ),
    Metric(
        "engine/kv_gib",
        "GiB",
        "Memory of all KV-cache blocks, vLLM's null block included.",
        _of_layout(lambda layout: layout.gib),
        _NO_LAYOUT,
    ),
)
