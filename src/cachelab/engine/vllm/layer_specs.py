"""vLLM's specs of a model's layers. This module imports vLLM."""

from collections.abc import Sequence
from typing import Literal

import torch
from vllm.v1.kv_cache_interface import (
    ChunkedLocalAttentionSpec,
    FullAttentionSpec,
    KVCacheSpec,
    MambaSpec,
    MLAAttentionSpec,
    SlidingWindowSpec,
)

from cachelab.engine.vllm.hybrid_blocks import Platform, hybrid_block_size
from cachelab.model.kv_model import KvModel
from cachelab.model.layer_group import LayerGroup, heads_per_gpu

LayerSpecs = dict[str, KVCacheSpec]
"""vLLM's spec of each layer, by the layer's name."""

MambaCacheMode = Literal["align", "none"]

_DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "fp8": torch.uint8,
}
"""vLLM keeps fp8 in arrays of uint8."""


def plain_specs(kv_model: KvModel, block_size: int) -> LayerSpecs:
    """Layers of full attention with the bytes per token of a model."""
    num_layers, bytes_per_layer = kv_model.layers
    # Only the bytes per token matter here: keys and values are two vectors of bytes.
    spec = FullAttentionSpec(block_size=block_size, num_kv_heads=1, head_size=bytes_per_layer // 2, dtype=torch.uint8)
    return {f"model.layers.{layer}": spec for layer in range(num_layers)}


def specs_of(
    groups: Sequence[LayerGroup],
    block_size: int,
    max_model_len: int,
    mamba_cache_mode: MambaCacheMode,
    platform: Platform = "cuda",
    tensor_parallel_size: int = 1,
) -> LayerSpecs:
    """The layers of each group in turn, in the blocks that the platform gives them.

    With `mamba_cache_mode` none a state's block spans `max_model_len` tokens.
    """
    attention_tokens = [group for group in groups if group.kind != "mamba"]
    states = [state_bytes(group, tensor_parallel_size) for group in groups if group.kind == "mamba"]
    if states and attention_tokens:
        per_token = max(group.bytes_per_token(tensor_parallel_size) for group in attention_tokens)
        has_mla = any(group.kind == "mla" for group in groups)
        block_size = hybrid_block_size(block_size, max(states), per_token, platform, has_mla)
        padded: int | None = block_size * per_token
    else:
        padded = None
    specs: LayerSpecs = {}
    for group in groups:
        if group.kind == "mamba":
            spec: KVCacheSpec = MambaSpec(
                block_size=block_size if mamba_cache_mode == "align" else max_model_len,
                shapes=((state_bytes(group, tensor_parallel_size),),),
                dtypes=(torch.uint8,),
                page_size_padded=padded,
                mamba_cache_mode=mamba_cache_mode,
            )
        else:
            spec = _attention(group, block_size, tensor_parallel_size)
        specs |= {f"model.layers.{len(specs) + layer}": spec for layer in range(group.layers)}
    return specs


def state_bytes(group: LayerGroup, tensor_parallel_size: int) -> int:
    """The bytes of a state on one GPU: its heads, and so its bytes, are divided among the GPUs."""
    return -(-(group.state_bytes or 0) // tensor_parallel_size)


def _attention(group: LayerGroup, block_size: int, tensor_parallel_size: int) -> KVCacheSpec:
    dtype = _DTYPES[group.dtype]
    if group.kind == "mla":
        return MLAAttentionSpec(
            block_size=block_size, num_kv_heads=1, head_size=group.head_size, dtype=dtype, max_tp_shards=1
        )
    sizes = {
        "block_size": block_size,
        "num_kv_heads": heads_per_gpu(group.heads or 1, tensor_parallel_size),
        "head_size": group.head_size,
        "dtype": dtype,
    }
    if group.value_head_size is not None:
        sizes["head_size_v"] = group.value_head_size
    if group.kind == "window":
        return SlidingWindowSpec(**sizes, sliding_window=group.window)
    if group.kind == "chunked":
        return ChunkedLocalAttentionSpec(**sizes, attention_chunk_size=group.window)
    return FullAttentionSpec(**sizes)
