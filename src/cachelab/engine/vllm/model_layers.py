"""Asks vLLM's own layers of a model for their specs: a program of its own, which builds the model without weights.

It reads a request as JSON from standard input and writes the answer to the file that is its only argument.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cachelab.engine.vllm.core import vllm_environment
from cachelab.error_format import reason

if TYPE_CHECKING:
    from vllm.config import VllmConfig

ON_CUDA = {"CPUAttentionBackend": "FLASH_ATTN", "CPUMLABackend": "FLASHMLA"}
"""The backend that stands for each of the CPU's with platform=cuda, on Hopper (SM90).

For MLA it is vLLM's second choice: the first, FLASH_ATTN_MLA, cannot be imported without CUDA.
"""


def layers_of(
    model: str,
    platform: str,
    block_size: int,
    max_model_len: int,
    enable_prefix_caching: bool,
    kv_cache_dtype: str,
    tensor_parallel_size: int,
) -> dict[str, Any]:
    """The specs of a model's layers, as plain data; `model` is a folder with a config.json."""
    import torch
    from vllm.config import get_layers_from_vllm_config, set_current_vllm_config
    from vllm.distributed import init_distributed_environment, initialize_model_parallel, parallel_state
    from vllm.engine.arg_utils import EngineArgs
    from vllm.model_executor.layers.attention_layer_base import AttentionLayerBase
    from vllm.model_executor.model_loader.utils import initialize_model
    from vllm.platforms.interface import Platform
    from vllm.v1.attention.backends.registry import AttentionBackendEnum
    from vllm.v1.attention.backends.utils import get_supported_kv_cache_layouts

    from cachelab.engine.vllm.spec_file import to_json

    config: VllmConfig = EngineArgs(
        model=model,
        skip_tokenizer_init=True,
        load_format="dummy",
        enforce_eager=True,
        block_size=block_size,
        max_model_len=max_model_len,
        enable_prefix_caching=enable_prefix_caching,
        kv_cache_dtype=kv_cache_dtype,
    ).create_engine_config()
    if platform == "cuda":
        config.cache_config.block_size = block_size  # vLLM's CPU platform sets 16 for MLA (vllm/platforms/cpu.py)
    with set_current_vllm_config(config), tempfile.TemporaryDirectory() as folder:
        init_distributed_environment(1, 0, f"file://{folder}/store", 0, "gloo")
        initialize_model_parallel(1)
        # Layers divide their heads by these numbers. No weight and no process needs the other GPUs.
        parallel_state.get_tp_group().world_size = tensor_parallel_size
        config.parallel_config.tensor_parallel_size = tensor_parallel_size
        with torch.device("meta"):
            initialize_model(config)
        layers = get_layers_from_vllm_config(config, AttentionLayerBase)

        backends = []
        for layer in layers.values():
            backend = layer.get_attn_backend()
            if platform == "cuda" and backend.__name__ in ON_CUDA:
                backend = AttentionBackendEnum[ON_CUDA[backend.__name__]].get_class()
                layer.attn_backend = backend
            if backend not in backends:
                backends.append(backend)

        class SamePlatform(Platform):
            @classmethod
            def _find_non_ssm_backends(cls, vllm_config: Any) -> list[Any]:
                return [backend for backend in backends if not backend.is_ssm()]

        SamePlatform.update_block_size_for_backend(config)
        for backend in backends:
            if platform == "cuda" and not backend.is_ssm() and not backend.supports_block_size(block_size):
                sizes = ", ".join(map(str, backend.get_supported_kernel_block_sizes()))
                raise ValueError(
                    f"{backend.get_name()} on CUDA does not take blocks of {block_size} tokens, but {sizes}"
                )
        specs = {
            name: spec
            for name, layer in layers.items()
            if getattr(layer, "kv_sharing_target_layer_name", None) is None
            and (spec := layer.get_kv_cache_spec(config)) is not None
        }
        return {
            "layers": list(specs),
            "specs": to_json(specs),
            "layouts": [layout.name for layout in get_supported_kv_cache_layouts(backends)],
            "mamba_cache_mode": config.cache_config.mamba_cache_mode,
            "backends": [backend.get_name() for backend in backends],
        }


def main() -> None:
    """Answer one request; what vLLM refuses is an answer, too."""
    vllm_environment()
    try:
        answer = layers_of(**json.load(sys.stdin))
    except Exception as error:  # vLLM and the code of a model raise anything
        answer = {"refused": reason(error)}
    Path(sys.argv[1]).write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    main()
