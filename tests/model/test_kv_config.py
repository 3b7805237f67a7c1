"""Bytes of KV cache a token: models whose numbers are published, and those that must be refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from cachelab.errors import ConfigError
from cachelab.model.kv_model import KvModel

LLAMA = {
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "hidden_size": 4096,
    "torch_dtype": "bfloat16",
}


def bytes_per_token(path: str) -> int:
    return KvModel(config=path).bytes_per_token


def config(tmp_path: Path, **fields: Any) -> str:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({key: value for key, value in fields.items() if value is not ...}))
    return str(path)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        # grouped-query: 32 layers x 2 x 8 heads x 128 x 2 bytes = 128 KiB, the number known for Llama-3-8B
        ({}, 131_072),
        # multi-head: no num_key_value_heads, 32 heads: 512 KiB, Llama-2-7B's
        ({"num_key_value_heads": ...}, 524_288),
        # multi-query
        ({"num_key_value_heads": 1}, 16_384),
        # a head size of its own (Qwen3, Gemma), a newer key for the type, a float32 cache
        ({"head_dim": 256}, 262_144),
        ({"torch_dtype": ..., "dtype": "float32"}, 262_144),
        # multi-head latent attention, DeepSeek-V3: 61 layers x (512 + 64) x 2 bytes = 70,272
        ({"num_hidden_layers": 61, "kv_lora_rank": 512, "qk_rope_head_dim": 64, "num_attention_heads": 128}, 70_272),
        # a window that is switched off, or that no layer uses, is none
        ({"sliding_window": 4096, "use_sliding_window": False}, 131_072),
        ({"sliding_window": 4096, "layer_types": ["full_attention"] * 32}, 131_072),
        ({"sliding_window": None}, 131_072),
    ],
)
def test_kv_config_bytes_per_token(tmp_path: Path, changes: dict[str, Any], expected: int) -> None:
    assert bytes_per_token(config(tmp_path, **(LLAMA | changes))) == expected
    assert bytes_per_token(str(tmp_path)) == expected  # the folder will do


def test_kv_config_bytes_per_token_of_the_text_model_of_a_multimodal_one(tmp_path: Path) -> None:
    inner = {key: value for key, value in LLAMA.items() if key != "torch_dtype"}
    assert bytes_per_token(config(tmp_path, text_config=inner, torch_dtype="float16")) == 131_072


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"sliding_window": 4096}, "sliding window of 4096"),
        ({"layer_types": ["sliding_attention", "full_attention"]}, "sliding_attention"),
        ({"layer_types": ["linear_attention", "full_attention"]}, "linear_attention"),
        ({"attention_chunk_size": 8192}, "chunks"),
        ({"num_kv_shared_layers": 10}, "share"),
        ({"index_head_dim": 128}, "index"),
        ({"hybrid_override_pattern": "M-M*"}, "not all of its layers"),
        ({"is_encoder_decoder": True}, "encoder"),
        ({"torch_dtype": "int3"}, "dtype"),
        ({"num_hidden_layers": ...}, "num_hidden_layers"),
        ({"num_attention_heads": 33, "num_key_value_heads": 8}, "is not divisible"),
    ],
)
def test_kv_config_bytes_per_token_is_refused_with_the_reason(
    tmp_path: Path, changes: dict[str, Any], why: str
) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        bytes_per_token(config(tmp_path, **(LLAMA | changes)))
    assert "engine.kv_model" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("text", "why"), [("{", "not JSON"), ("[]", "not an object")])
def test_kv_config_bytes_per_token_of_a_bad_file(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ConfigError, match=why):
        bytes_per_token(str(tmp_path))
    with pytest.raises(ConfigError, match="No such file"):
        bytes_per_token(str(tmp_path / "absent.json"))
