"""The same usage under the names of each server: 100 prompt tokens, 64 of them cached, 20 written, 7 in the reply."""

from collections import Counter
from typing import Any

import pytest

from cachelab.dataset.logged_usage import read_usage
from cachelab.message import LoggedUsage


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param(
            {"prompt_tokens": 100, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 64}},
            LoggedUsage(100, 64), id="vllm_and_openai_chat",
        ),
        pytest.param(
            {"prompt_tokens": 100, "completion_tokens": 7, "prompt_tokens_details": None},
            LoggedUsage(100, None), id="vllm_without_details",
        ),
        pytest.param(
            {"input_tokens": 100, "output_tokens": 7, "input_tokens_details": {"cached_tokens": 64}},
            LoggedUsage(100, 64), id="openai_responses",
        ),
        pytest.param(
            {"prompt_tokens": 100, "prompt_tokens_details": {"cached_tokens": 64, "cache_write_tokens": 20}},
            LoggedUsage(100, 64), id="openrouter",
        ),
        pytest.param(
            {"input_tokens": 16, "cache_read_input_tokens": 64, "cache_creation_input_tokens": 20, "output_tokens": 7},
            LoggedUsage(100, 64), id="anthropic",
        ),
        pytest.param(
            {"input_tokens": 100, "cache_read_input_tokens": None, "output_tokens": 7},
            LoggedUsage(100, None), id="anthropic_without_cache",
        ),
        pytest.param(
            {"prompt_tokens": 100, "cache_read_input_tokens": 64, "cache_creation_input_tokens": 20,
             "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 64}},
            LoggedUsage(100, 64), id="litellm_of_anthropic",
        ),
        pytest.param(
            {"prompt_tokens": 100, "prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 36,
             "completion_tokens": 7},
            LoggedUsage(100, 64), id="deepseek",
        ),
        pytest.param(
            {"promptTokenCount": 100, "cachedContentTokenCount": 64, "candidatesTokenCount": 5,
             "thoughtsTokenCount": 2},
            LoggedUsage(100, 64), id="gemini",
        ),
        pytest.param(
            {"prompt_token_count": 100, "cached_content_token_count": 64, "candidates_token_count": 7},
            LoggedUsage(100, 64), id="gemini_python",
        ),
    ],
)  # fmt: skip
def test_usage_of_each_server(raw: dict[str, Any], expected: LoggedUsage) -> None:
    counts: Counter[str] = Counter()
    assert read_usage(raw, counts) == expected
    assert not counts


@pytest.mark.parametrize(
    "raw",
    [
        {"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 11}},
        {"prompt_tokens": -1},
        {"prompt_tokens": 1.5},
        {"prompt_tokens": "10"},
        {"prompt_tokens": True},
        {"input_tokens": "1", "cache_read_input_tokens": 3},
        {"unknown": 1},
        {"candidatesTokenCount": "x", "thoughtsTokenCount": 1},
        [1],
        "10 tokens",
    ],
)
def test_usage_that_cannot_be_right_is_left_out_and_counted(raw: Any) -> None:
    counts: Counter[str] = Counter()
    assert read_usage(raw, counts) is None
    assert counts == {"unusable_usage": 1}


def test_no_usage_is_not_counted() -> None:
    counts: Counter[str] = Counter()
    assert read_usage(None, counts) is read_usage({}, counts) is None
    assert not counts
