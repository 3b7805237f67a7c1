"""The engine core of a simulator: vLLM's own, with the layers that the settings describe and without a model."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cachelab.engine.sim_settings import SimSettings
from cachelab.engine.sizes import longest_request, model_length
from cachelab.engine.vllm import core as vllm_core
from cachelab.engine.vllm.host_tier import offloading_args
from cachelab.engine.vllm.model_specs import ModelLayers
from cachelab.errors import EngineError
from cachelab.request import Schedule

if TYPE_CHECKING:
    from vllm.v1.engine.core import EngineCore


def fitted_core(settings: SimSettings, schedule: Schedule) -> "tuple[EngineCore, int]":
    """An engine core for the schedule, and its `max_model_len`. Raises EngineError if vLLM refuses."""
    if settings.max_model_len is not None:
        return core_of(settings, settings.max_model_len), settings.max_model_len
    if settings.is_plain and settings.num_blocks is not None:
        length = model_length(schedule, settings.num_blocks, settings.block_size)
    else:
        length = longest_request(schedule)
    try:
        return core_of(settings, length), length
    except EngineError as error:  # vLLM says how long the longest request can be that the cache holds
        if (found := re.search(r"estimated maximum model length is (\d+)", str(error))) is None:
            raise
        return core_of(settings, int(found[1])), int(found[1])


def core_of(settings: SimSettings, max_model_len: int) -> "EngineCore":
    """An engine core for requests of up to this many tokens. Raises EngineError if vLLM refuses."""
    from cachelab.engine.vllm.layer_specs import plain_specs, specs_of
    from cachelab.engine.vllm.recorded_executor import RecordedExecutor
    from cachelab.engine.vllm.spec_file import from_json

    args = engine_args(settings, max_model_len)
    if settings.model is not None:
        found = _model_layers(settings, max_model_len)
        args |= {"mamba_cache_mode": found["mamba_cache_mode"]}
        specs = from_json(found["specs"], found["layers"])
        return vllm_core.build_core(args, RecordedExecutor.of(specs, settings.kv_bytes, found["layouts"]))
    if settings.layers is None:
        specs = plain_specs(settings.kv_model, settings.block_size)
    else:
        mode = args["mamba_cache_mode"]
        size, parallel = settings.block_size, settings.tensor_parallel_size
        specs = specs_of(settings.layers, size, max_model_len, mode, settings.platform, parallel)
    return vllm_core.build_core(args, RecordedExecutor.of(specs, settings.kv_bytes))


def _model_layers(settings: SimSettings, max_model_len: int) -> dict[str, Any]:
    assert settings.model is not None
    return ModelLayers(
        settings.model,
        settings.platform,
        settings.block_size,
        # It is the block of a recurrent state where prefix caching is off, and matters nowhere else.
        1 if settings.enable_prefix_caching else max_model_len,
        settings.enable_prefix_caching,
        settings.kv_cache_dtype,
        settings.tensor_parallel_size,
    ).read(settings.model_cache_dir)


def engine_args(settings: SimSettings, max_model_len: int | None = None) -> dict[str, Any]:
    """The fields of vLLM's EngineArgs for this engine."""
    # vLLM's rule for models with recurrent states (`model_executor/models/config.py`).
    recurrent = any(group.kind == "mamba" for group in settings.layers or ())
    return {
        "model": str(Path(__file__).with_name("sim_model")),
        "skip_tokenizer_init": True,
        "load_format": "dummy",
        "dtype": "float32",
        "enforce_eager": True,
        "async_scheduling": False,
        **settings.vllm_sizes(),
        "max_model_len": max_model_len or settings.max_model_len,
        "mamba_cache_mode": "align" if recurrent and settings.enable_prefix_caching else "none",
        "enable_prefix_caching": settings.enable_prefix_caching,
        **offloading_args(settings.host_cache_gib, settings.offload_prompt_only),
    } | settings.args
