"""The events of a reply's stream, whatever a server puts into them."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from cachelab.engine.server.exchange import Answer, RequestFailed


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ([1, 2], r"the stream has list \[1, 2\] where an object must be"),
        ("text", "the stream has str text where an object must be"),
        ({"choices": ["a"]}, "a choice that is no object: a"),
        ({"choices": [{"token_ids": ["a"]}]}, r"token_ids of the reply is no list of token ids: \['a'\]"),
        ({"prompt_token_ids": 7, "choices": []}, "prompt_token_ids of the reply is no list of token ids: 7"),
    ],
)
def test_event_of_another_form_fails_with_what_came(event: object, reason: str) -> None:
    with pytest.raises(RequestFailed, match=reason):
        Answer(0).take(event)


def test_event_without_choices_or_usage_changes_nothing() -> None:
    answer = Answer(0)
    for event in ({}, {"choices": None, "usage": None}, {"choices": [{"index": 0, "text": "", "delta": None}]}):
        answer.take(event)
    assert answer == Answer(0)


def test_completion_is_read_from_its_events() -> None:
    answer = Answer(0)
    answer.take({"choices": [{"text": "a", "token_ids": [5], "prompt_token_ids": [1, 2, 3]}]})
    answer.take({"choices": [{"text": "", "token_ids": [6, 7], "finish_reason": "length"}]})
    details = {"cached_tokens": 2}
    answer.take(
        {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 3, "prompt_tokens_details": details}}
    )
    assert (answer.prompt_ids, answer.output_ids, answer.finish) == ([1, 2, 3], [5, 6, 7], "length")
    assert (answer.prompt_tokens, answer.cached_tokens, answer.reply_tokens, answer.pieces) == (3, 2, 3, 2)
    assert answer.first_token_ns is not None


@pytest.mark.parametrize("field", ["content", "reasoning", "reasoning_content"])
def test_text_of_a_chat_is_its_reply_or_its_reasoning(field: str) -> None:
    answer = Answer(0)
    answer.take({"choices": [{"delta": {"role": "assistant", "content": ""}}]})
    assert answer.pieces == 0
    answer.take({"choices": [{"delta": {field: "a"}}]})
    assert (answer.pieces, answer.reply_tokens) == (1, 1)


@pytest.mark.parametrize("ids", [[1 << 40], [-1], [True]])
def test_ids_that_are_no_token_ids_fail(ids: list[int]) -> None:
    answer = Answer(0)
    with pytest.raises(RequestFailed, match="token_ids of the reply is no list of token ids"):
        answer.take({"choices": [{"token_ids": ids, "text": "x"}]})


@pytest.mark.parametrize("number", [-5, True, "7"])
def test_count_that_is_none_is_not_taken(number: object) -> None:
    answer = Answer(0)
    answer.take({"usage": {"completion_tokens": number}})
    assert answer.completion_tokens is None


def test_count_above_what_was_asked_for_is_too_long() -> None:
    answer = Answer(0)
    answer.take({"usage": {"completion_tokens": 10**13}})
    assert answer.is_beyond(4)


@pytest.mark.parametrize(("text", "seconds"), [("2", 2.0), ("0.5", 0.5), ("²", None), ("-1", None), ("inf", None)])
def test_retry_after(text: str, seconds: float | None) -> None:
    from cachelab.engine.server.exchange import _seconds

    assert _seconds(text) == seconds


def test_retry_after_a_date() -> None:
    from cachelab.engine.server.exchange import _seconds

    soon = datetime.now(UTC) + timedelta(seconds=30)
    assert 28 <= (_seconds(format_datetime(soon, usegmt=True)) or 0) <= 30
    assert _seconds("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert _seconds("soon") is None
