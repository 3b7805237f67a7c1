"""What `engine.args` may not hold: what cachelab sets itself, and what an engine cannot do."""

from collections.abc import Mapping
from typing import Any

from cachelab.errors import ConfigError

SETTINGS: Mapping[str, str] = {
    "block_size": "engine.block_size",
    "max_model_len": "engine.max_model_len",
    "max_num_seqs": "engine.max_num_seqs",
    "num_gpu_blocks_override": "engine.num_blocks",
    "max_num_batched_tokens": "engine.max_num_batched_tokens",
    "enable_prefix_caching": "engine.enable_prefix_caching",
    "kv_offloading_size": "engine.host_cache_gib",
    "kv_transfer_config": "engine.host_cache_gib",
}
"""Fields of EngineArgs that have a setting of their own, in every engine: cachelab counts by it."""

OF_A_MODEL: Mapping[str, str] = {
    "model": "engine.model",
    "dtype": "engine.dtype",
    "tensor_parallel_size": "engine.tensor_parallel_size",
    "gpu_memory_utilization": "engine.gpu_memory_utilization",
    "kv_cache_memory_bytes": "engine.kv_cache_memory_bytes",
    "enforce_eager": "engine.enforce_eager",
}
"""Further ones, in an engine with a model."""

DRIVEN = ("skip_tokenizer_init", "async_scheduling", "distributed_executor_backend", "scheduler_cls")
"""Fields that the driver depends on."""

NOT_SIMULATED = (
    *OF_A_MODEL,
    "load_format",
    "tokenizer",
    "hf_overrides",
    "hf_config_path",
    "speculative_config",
    "pipeline_parallel_size",
    "data_parallel_size",
    "prefill_context_parallel_size",
    "decode_context_parallel_size",
    "enable_lora",
    "kv_cache_dtype",
)
"""Fields of what the simulator has not: a model, drafts, workers."""


def check_extra_args(args: Mapping[str, Any], settings: Mapping[str, str], not_had: tuple[str, ...] = ()) -> None:
    """Refuse what `engine.args` may not hold. Raises ConfigError that says where it belongs, or why it cannot be."""
    for name in args:
        if name in settings:
            raise ConfigError(f"engine.args.{name}: set {settings[name]} instead: cachelab counts by it")
        if name in DRIVEN:
            raise ConfigError(f"engine.args.{name}: cachelab's driver sets it, and depends on it: leave it out")
        if name in not_had:
            raise ConfigError(f"engine.args.{name}: the simulator has no model and no workers: take engine=cpu or cuda")
