"""The EngineArgs that `engine.args` must not set: cachelab sets them itself, or the engine does not support them."""

from collections.abc import Mapping
from typing import Any

from cachelab.engine.sizes import VLLM_NAMES
from cachelab.errors import ConfigError

SETTINGS: Mapping[str, str] = {
    **{vllm_name: f"engine.{name}" for name, vllm_name in VLLM_NAMES.items()},
    "enable_prefix_caching": "engine.enable_prefix_caching",
    "kv_offloading_size": "engine.host_cache_gib",
    "kv_transfer_config": "engine.host_cache_gib",
}
"""EngineArgs that have their own setting in every engine. cachelab's counting depends on that setting."""

OF_A_MODEL: Mapping[str, str] = {
    "model": "engine.model",
    "dtype": "engine.dtype",
    "tensor_parallel_size": "engine.tensor_parallel_size",
    "gpu_memory_utilization": "engine.gpu_memory_utilization",
    "kv_cache_memory_bytes": "engine.kv_cache_memory_bytes",
    "enforce_eager": "engine.enforce_eager",
}
"""EngineArgs that have their own setting in engines with a model."""

DECIDED: Mapping[str, str] = {
    "mamba_cache_mode": "vLLM uses align if engine.enable_prefix_caching is true, else none",
    "mamba_block_size": "the layers decide it (engine.layers, engine.block_size)",
}
"""EngineArgs that the simulator derives, and from what."""

DRIVEN = ("skip_tokenizer_init", "async_scheduling", "distributed_executor_backend", "scheduler_cls")
"""EngineArgs that the driver sets and depends on."""

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
"""EngineArgs the simulator does not support: it has no model, no draft model and no workers."""


def check_extra_args(args: Mapping[str, Any], settings: Mapping[str, str], unsupported: tuple[str, ...] = ()) -> None:
    """Check that `engine.args` sets none of `settings`, DRIVEN and `unsupported`.

    Raises ConfigError that names the setting to use instead, or the reason.
    """
    for name in args:
        if name in settings:
            raise ConfigError(f"engine.args.{name}: set {settings[name]} instead: cachelab's counting depends on it")
        if name in DRIVEN:
            raise ConfigError(f"engine.args.{name}: cachelab's driver sets it and depends on it: leave it out")
        if unsupported and name in DECIDED:
            raise ConfigError(f"engine.args.{name}: {DECIDED[name]}: leave it out")
        if name in unsupported:
            raise ConfigError(f"engine.args.{name}: the simulator has no model and no workers: use engine=cpu or cuda")
