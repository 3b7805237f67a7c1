"""Reads the token usage of a logged response, under the names that servers and providers use."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from cachelab.message import LoggedUsage

_PROMPT = ("prompt_tokens", "promptTokenCount", "prompt_token_count")
_CACHED = (
    "cached_tokens", "cache_read_tokens", "prompt_cache_hit_tokens", "cachedContentTokenCount",
    "cached_content_token_count", "cache_read_input_tokens",
)  # fmt: skip
_WRITTEN = ("cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens")
_REPLY = ("completion_tokens", "output_tokens")
_CANDIDATES = ("candidatesTokenCount", "candidates_token_count")
_THOUGHTS = ("thoughtsTokenCount", "thoughts_token_count")
_DETAILS = ("prompt_tokens_details", "input_tokens_details")


def read_usage(raw: Any, counts: Counter[str]) -> LoggedUsage | None:
    """The prompt and cached tokens of a usage in a log; None if there is none.

    * vLLM, OpenAI's chat completions: `prompt_tokens`, which include those of `prompt_tokens_details.cached_tokens`
      (OpenRouter adds `cache_write_tokens` there), `completion_tokens`;
    * OpenAI's responses: `input_tokens`, which include those of `input_tokens_details.cached_tokens`, `output_tokens`;
    * Anthropic: `input_tokens`, to which `cache_read_input_tokens` and `cache_creation_input_tokens` are added;
    * DeepSeek: `prompt_tokens` = `prompt_cache_hit_tokens` + `prompt_cache_miss_tokens`;
    * Gemini: `promptTokenCount`, which includes `cachedContentTokenCount`; `candidatesTokenCount` and
      `thoughtsTokenCount` are the reply's (also in snake case).

    If a number of the prompt or the reply is not a whole number, or if numbers contradict each other, the usage is
    counted in `unusable_usage` and ignored.
    """
    if raw is None or raw == {}:
        return None
    usage = _usage(raw) if isinstance(raw, Mapping) else None
    if usage is None:
        counts["unusable_usage"] += 1
    return usage


def _usage(raw: Mapping[str, Any]) -> LoggedUsage | None:
    values: dict[str, Any] = dict(raw)
    for details in (raw.get(name) for name in _DETAILS):
        if isinstance(details, Mapping):
            values |= {key: value for key, value in details.items() if value is not None}
    prompt, cached, written = (_first(values, names) for names in (_PROMPT, _CACHED, _WRITTEN))
    if prompt is None:
        prompt = values.get("input_tokens")
        anthropic = not any(isinstance(raw.get(name), Mapping) for name in _DETAILS)
        if anthropic and isinstance(prompt, int) and _all_counts(prompt, cached, written):
            prompt += (cached or 0) + (written or 0)
    reply = _first(values, _REPLY)
    if reply is None:
        parts = [_first(values, names) for names in (_CANDIDATES, _THOUGHTS)]
        if _all_counts(*parts) and any(part is not None for part in parts):
            reply = sum(part or 0 for part in parts)
    if not _all_counts(prompt, cached, written, reply) or (prompt, cached, written, reply) == (None,) * 4:
        return None
    if prompt is not None and max(cached or 0, written or 0) > prompt:
        return None
    return LoggedUsage(prompt, cached)


def _first(values: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((values[name] for name in names if values.get(name) is not None), None)


def _all_counts(*values: Any) -> bool:
    """Whether each value is absent or a whole number that is not negative."""
    return all(v is None or (isinstance(v, int) and not isinstance(v, bool) and 0 <= v < 1 << 63) for v in values)
