"""The KV-cache bytes per token of a model, from its Hugging Face config.json."""

import json
from pathlib import Path
from typing import Any

from cachelab.errors import ConfigError

_BYTES = {
    "float32": 4, "float": 4, "float16": 2, "half": 2, "bfloat16": 2,
    "float8_e4m3fn": 1, "float8_e5m2": 1, "fp8": 1, "int8": 1,
}  # fmt: skip
_NOT_PER_TOKEN = {
    "attention_chunk_size": "it attends within chunks",
    "num_kv_shared_layers": "some of its layers share their KV",
    "index_head_dim": "it keeps an index in addition to the KV",
    "layers_block_type": "not all of its layers are attention",
    "hybrid_override_pattern": "not all of its layers are attention",
    "attn_layer_period": "not all of its layers are attention",
    "full_attention_interval": "not all of its layers are full attention",
    "mamba_d_state": "it keeps a state of fixed size",
    "ssm_cfg": "it keeps a state of fixed size",
}


def kv_of_config(path: str) -> tuple[int, int]:
    """The number of layers, and the bytes of one token's keys and values in each layer.

    `path` is a config.json or its folder. Multi-head, multi-query and grouped-query attention store two vectors per KV
    head. Multi-head latent attention (DeepSeek) stores one compressed vector and one rotary key per layer. Raises
    ConfigError if the file cannot be read, or if the cache does not grow by the same number of bytes for each token.
    """
    file = Path(path).expanduser()
    file = file / "config.json" if file.is_dir() else file
    try:
        config: Any = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"engine.kv_model.config: {file}: {error.strerror or error}: give a model's config.json"
        ) from error
    except ValueError as error:
        raise ConfigError(f"engine.kv_model.config: {file}: not JSON ({error}): give a model's config.json") from error
    if not isinstance(config, dict):
        raise ConfigError(f"engine.kv_model.config: {file}: not an object: give a model's config.json")
    inner = config.get("text_config")
    text: dict[str, Any] = inner if isinstance(inner, dict) else config
    if why := _refused({**config, **text}):
        raise ConfigError(
            f"engine.kv_model.config: {file}: {why}, so the bytes per token are not constant: use another model"
        )
    layers = _whole(text, "num_hidden_layers", file)
    dtype = text.get("dtype") or text.get("torch_dtype") or config.get("dtype") or config.get("torch_dtype")
    size = _BYTES.get(str(dtype).removeprefix("torch."))
    if size is None:
        raise ConfigError(f"engine.kv_model.config: {file}: dtype is {dtype!r}: set one of {', '.join(_BYTES)}")
    if text.get("kv_lora_rank") is not None:
        return layers, size * (_whole(text, "kv_lora_rank", file) + _whole(text, "qk_rope_head_dim", file))
    heads = _whole(text, "num_attention_heads", file)
    kv_heads = heads if text.get("num_key_value_heads") is None else _whole(text, "num_key_value_heads", file)
    if text.get("head_dim") is not None:
        head_size = _whole(text, "head_dim", file)
    else:
        hidden = _whole(text, "hidden_size", file)
        if hidden % heads:
            raise ConfigError(
                f"engine.kv_model.config: {file}: hidden_size {hidden} is not divisible by "
                f"num_attention_heads {heads}: give a complete config.json"
            )
        head_size = hidden // heads
    return layers, size * 2 * kv_heads * head_size


def _refused(config: dict[str, Any]) -> str | None:
    """Why the cache does not grow by the same number of bytes for each token; None if it does."""
    kinds = config.get("layer_types")
    if isinstance(kinds, list) and set(kinds) - {"full_attention"}:
        return f"it has layers of {', '.join(sorted(map(str, set(kinds) - {'full_attention'})))}"
    windowed = config.get("sliding_window") and config.get("use_sliding_window", True)
    if windowed and not isinstance(kinds, list):
        return f"it attends to a sliding window of {config['sliding_window']} tokens"
    if config.get("is_encoder_decoder"):
        return "it is an encoder and a decoder"
    return next((why for key, why in _NOT_PER_TOKEN.items() if config.get(key)), None)


def _whole(config: dict[str, Any], key: str, file: Path) -> int:
    value = config.get(key)
    if type(value) is not int or value < 1:
        raise ConfigError(
            f"engine.kv_model.config: {file}: {key} is {value!r}, not a whole number: give a complete config.json"
        )
    return value
