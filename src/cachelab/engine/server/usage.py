"""The token counts in the usage of a reply, under the names that servers give them."""

from collections.abc import Mapping
from typing import Any

_NAMES = (
    ("prompt_tokens_details", "cached_tokens"),  # OpenAI, vLLM, SGLang
    ("input_tokens_details", "cached_tokens"),  # OpenAI's newer form
    ("prompt_cache_hit_tokens",),  # DeepSeek
    ("cache_read_input_tokens",),  # Anthropic
)


def cached_tokens(usage: Mapping[str, Any]) -> int | None:
    """The prompt tokens that the server found in its cache; None if the usage does not say it."""
    for path in _NAMES:
        value: Any = usage
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        if isinstance(value, int) and value >= 0:
            return value
    return None


def is_null(usage: Mapping[str, Any]) -> bool:
    """Whether the usage has OpenAI's details of the prompt and nothing in them, as SGLang for 0 cached tokens."""
    return "prompt_tokens_details" in usage and usage["prompt_tokens_details"] is None


def prompt_tokens(usage: Mapping[str, Any]) -> int | None:
    """The tokens of the whole prompt; None if the usage does not say it."""
    if isinstance(value := usage.get("prompt_tokens"), int):
        return value
    if isinstance(value := usage.get("input_tokens"), int):  # Anthropic counts the cached ones apart
        more = (usage.get(name) for name in ("cache_read_input_tokens", "cache_creation_input_tokens"))
        return value + sum(one for one in more if isinstance(one, int))
    return None
