"""The token counts of a reply, under the names of several servers."""

from typing import Any

import pytest

from cachelab.engine.server.usage import cached_tokens, is_null, prompt_tokens


@pytest.mark.parametrize(
    ("usage", "prompt", "cached"),
    [
        ({"prompt_tokens": 20, "prompt_tokens_details": {"cached_tokens": 16}}, 20, 16),
        ({"prompt_tokens": 20, "prompt_tokens_details": {"cached_tokens": 0}}, 20, 0),
        ({"prompt_tokens": 20, "prompt_tokens_details": None}, 20, None),
        ({"prompt_tokens": 20}, 20, None),
        ({"input_tokens": 20, "input_tokens_details": {"cached_tokens": 16}}, 20, 16),
        ({"prompt_tokens": 20, "prompt_cache_hit_tokens": 16, "prompt_cache_miss_tokens": 4}, 20, 16),
        ({"input_tokens": 3, "cache_read_input_tokens": 16, "cache_creation_input_tokens": 1}, 20, 16),
        ({"prompt_tokens": 20, "prompt_tokens_details": {"cached_tokens": "16"}}, 20, None),
        ({}, None, None),
    ],
)
def test_counts_of_a_reply(usage: dict[str, Any], prompt: int | None, cached: int | None) -> None:
    assert (prompt_tokens(usage), cached_tokens(usage)) == (prompt, cached)


@pytest.mark.parametrize(
    ("usage", "null"),
    [
        ({"prompt_tokens_details": None}, True),
        ({"prompt_tokens_details": {"cached_tokens": 0}}, False),
        ({"prompt_tokens_details": {}}, False),
        ({}, False),
    ],
)
def test_details_that_are_null(usage: dict[str, Any], null: bool) -> None:
    assert is_null(usage) == null
