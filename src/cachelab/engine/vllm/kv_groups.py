"""Reads the groups of layers of an engine core."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from cachelab.engine.kv_layout import KvGroup, KvLayout

if TYPE_CHECKING:
    from vllm.v1.engine.core import EngineCore
    from vllm.v1.kv_cache_interface import KVCacheGroupSpec

_KINDS = {
    "full_attention": "full",
    "sink_full_attention": "full",
    "mla_attention": "mla",
    "sliding_window": "window",
    "sliding_window_mla": "window",
    "chunked_local_attention": "chunked",
    "mamba": "mamba",
}
"""vLLM's names of the kinds of layers, and ours (model/layer_group.py)."""


def kv_layout(core: "EngineCore", plain_block_size: int | None = None) -> KvLayout:
    """The KV-cache layout of an engine core; `plain_block_size` None is the block size of its config."""
    config, cache = core.vllm_config, core.scheduler.kv_cache_config
    page_bytes = {
        name: min(tensor.layer_stride, tensor.block_stride)  # one is the page, the other a step over many pages
        for tensor in cache.kv_cache_tensors
        for name in tensor.layers
    }
    return KvLayout(
        groups=tuple(_group(group, page_bytes) for group in cache.kv_cache_groups),
        block_bytes=int(cache.kv_cache_tensors[0].size) // int(cache.num_blocks),
        num_blocks=int(cache.num_blocks) - 1,
        hit_alignment=int(cache.cache_hit_alignment_tokens),
        max_model_len=int(config.model_config.max_model_len),
        tokens_that_fit=int(config.cache_config.kv_cache_size_tokens),
        plain_block_size=plain_block_size or int(config.cache_config.block_size),
    )


def _group(group: "KVCacheGroupSpec", page_bytes: Mapping[str, int]) -> KvGroup:
    from vllm.v1.kv_cache_interface import get_kv_cache_spec_kind

    spec = group.kv_cache_spec
    kind = get_kv_cache_spec_kind(spec).value
    window = getattr(spec, "attention_chunk_size", None) or getattr(spec, "sliding_window", None)
    return KvGroup(
        kind=_KINDS.get(kind, kind),
        layers=len(group.layer_names),
        block_size=int(spec.block_size),
        block_bytes=sum(page_bytes[name] for name in group.layer_names),
        window=window,
    )
