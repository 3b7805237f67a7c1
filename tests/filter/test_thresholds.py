"""Thresholds: every conversation is kept, or dropped for one reason."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from cachelab.errors import ConfigError
from cachelab.filter.thresholds import REASONS, Thresholds
from cachelab.tokenized_conversation import TokenizedConversation, TokenizedTurn

NOTHING = np.empty(0, dtype=np.int32)


def conversation(name: str, *prompt_tokens: int) -> TokenizedConversation:
    """Turns of the given prompt lengths."""
    turns = (TokenizedTurn(0, np.zeros(n, dtype=np.int32), NOTHING, NOTHING) for n in prompt_tokens)
    return TokenizedConversation(name, tuple(turns))


def lengths(conversations: Sequence[TokenizedConversation]) -> dict[str, list[int]]:
    return {c.id: [turn.prompt_tokens for turn in c.turns] for c in conversations}


A, B, C, D = conversation("a", 10), conversation("b", 10, 20, 30), conversation("c", 50, 60), conversation("d", 5, 90)
ALL = [A, B, C, D]  # 10 + 60 + 110 + 95 = 275 tokens in 8 turns


def applied(**limits: object) -> tuple[dict[str, list[int]], dict[str, float]]:
    """What is kept, and the numbers that are not 0."""
    filtered = Thresholds(**limits).apply(ALL)  # type: ignore[arg-type]
    return lengths(filtered.kept), {key: value for key, value in filtered.numbers.items() if value}


def test_no_limit_keeps_everything_as_it_is() -> None:
    filtered = Thresholds().apply(ALL)
    assert list(filtered.kept) == ALL  # the same objects
    assert filtered.numbers == {
        "conversations_kept": 4, "requests_kept": 8, "conversations_cut": 0, "turns_cut": 0, "tokens_kept_share": 1.0,
        "dropped_min_turns": 0, "dropped_max_turns": 0, "dropped_max_prompt_tokens": 0,
        "dropped_max_conversations": 0, "dropped_max_requests": 0,
    }  # fmt: skip


def test_whole_drops_a_conversation_with_one_turn_too_long() -> None:
    kept, numbers = applied(min_turns=2, max_prompt_tokens=60)
    assert kept == {"b": [10, 20, 30], "c": [50, 60]}  # 60 is not too long; d has a turn of 90
    assert numbers == {
        "conversations_kept": 2, "requests_kept": 5, "tokens_kept_share": pytest.approx(170 / 275),  # (60 + 110) / 275
        "dropped_min_turns": 1, "dropped_max_prompt_tokens": 1,
    }  # fmt: skip


def test_prefix_cuts_before_the_turn_too_long() -> None:
    kept, numbers = applied(max_prompt_tokens=25, keep="prefix")
    assert kept == {"a": [10], "b": [10, 20], "d": [5]}  # c begins with 50
    assert numbers == {
        "conversations_kept": 3, "requests_kept": 4, "conversations_cut": 2, "turns_cut": 2,
        "tokens_kept_share": pytest.approx(45 / 275), "dropped_max_prompt_tokens": 1,  # (10 + 30 + 5) / 275
    }  # fmt: skip


def test_prefix_that_is_left_too_short_is_dropped_for_what_cut_it() -> None:
    kept, numbers = applied(min_turns=2, max_prompt_tokens=25, keep="prefix")
    assert kept == {"b": [10, 20]}
    assert (numbers["dropped_min_turns"], numbers["dropped_max_prompt_tokens"]) == (1, 2)  # a; c and d


def test_max_turns_drops_or_cuts() -> None:
    assert applied(max_turns=2)[0] == {"a": [10], "c": [50, 60], "d": [5, 90]}
    assert applied(max_turns=2)[1]["dropped_max_turns"] == 1
    kept, numbers = applied(max_turns=2, keep="prefix")
    assert kept["b"] == [10, 20]
    assert (numbers["conversations_cut"], numbers["turns_cut"]) == (1, 1)


def test_reason_is_the_limit_that_is_broken_first() -> None:
    # b breaks max_turns at its third turn and max_prompt_tokens 15 at its second.
    assert applied(max_turns=2, max_prompt_tokens=15)[1]["dropped_max_prompt_tokens"] == 3  # b, c, d
    assert applied(max_turns=2, max_prompt_tokens=25)[1]["dropped_max_turns"] == 1  # b: third turn, both


@pytest.mark.parametrize("keep", ["whole", "prefix"])
def test_max_conversations_takes_the_first_that_fit(keep: str) -> None:
    kept, numbers = applied(min_turns=2, max_conversations=2, keep=keep)
    assert list(kept) == ["b", "c"]
    assert (numbers["dropped_min_turns"], numbers["dropped_max_conversations"]) == (1, 1)  # a; d


def test_max_requests_closes_at_the_first_that_does_not_fit() -> None:
    # whole: a (1) and b (3) make 4; c (2) does not fit in 5; nothing later is let in.
    kept, numbers = applied(max_requests=5)
    assert list(kept) == ["a", "b"]
    assert numbers["dropped_max_requests"] == 2
    later = Thresholds(max_requests=5).apply([*ALL, conversation("e", 1)])
    assert list(lengths(later.kept)) == ["a", "b"]  # though e would fit
    # prefix: the fifth request is c's first.
    kept, numbers = applied(max_requests=5, keep="prefix")
    assert kept == {"a": [10], "b": [10, 20, 30], "c": [50]}
    assert (numbers["requests_kept"], numbers["conversations_cut"], numbers["dropped_max_requests"]) == (5, 1, 1)
    # with at least 2 turns, b and c make 5; b, c and one of d would make 6
    kept, numbers = applied(min_turns=2, max_requests=6, keep="prefix")
    assert kept == {"b": [10, 20, 30], "c": [50, 60]}
    assert (numbers["dropped_min_turns"], numbers["dropped_max_requests"]) == (1, 1)


def test_share_of_no_tokens_is_absent() -> None:
    assert "tokens_kept_share" not in Thresholds().apply([]).numbers
    assert "dropped_max_requests" in Thresholds().apply([]).numbers


def test_min_turns_above_max_turns_names_both() -> None:
    with pytest.raises(ConfigError, match=r"filter\.min_turns 3 .*filter\.max_turns 2"):
        Thresholds(min_turns=3, max_turns=2)


@pytest.mark.parametrize(
    ("field", "value"), [("min_turns", 0), ("max_requests", -1), ("max_turns", "2"), ("keep", "half")]
)
def test_bad_value_names_the_field(field: str, value: object) -> None:
    with pytest.raises(ValidationError, match=field):
        Thresholds(**{field: value})  # type: ignore[arg-type]


conversations = st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=5), max_size=8).map(
    lambda rows: [conversation(f"c{i}", *row) for i, row in enumerate(rows)]
)
Keep = Literal["whole", "prefix"]
limit = st.none() | st.integers(1, 9)


@st.composite
def thresholds(draw: st.DrawFn, keep: Keep | None = None, totals: bool = True) -> Thresholds:
    low, high = draw(st.none() | st.integers(1, 3)), draw(st.none() | st.integers(3, 5))
    total = limit if totals else st.none()
    either: tuple[Keep, ...] = ("whole", "prefix")
    kept = draw(st.sampled_from(either)) if keep is None else keep
    return Thresholds(low, high, draw(limit), draw(total), draw(total), kept)


@given(conversations, thresholds())
def test_kept_and_dropped_are_all(given_conversations: list[TokenizedConversation], rule: Thresholds) -> None:
    filtered = rule.apply(given_conversations)
    numbers = filtered.numbers
    dropped = sum(numbers[f"dropped_{reason}"] for reason in REASONS)
    assert numbers["conversations_kept"] + dropped == len(given_conversations)
    kept = lengths(filtered.kept)
    given_lengths = lengths(given_conversations)
    assert list(kept) == [name for name in given_lengths if name in kept]  # in the given order
    assert all(given_lengths[name][: len(row)] == row for name, row in kept.items())  # each a prefix
    assert sum(map(len, kept.values())) == numbers["requests_kept"]
    assert sum(len(given_lengths[name]) - len(row) for name, row in kept.items()) == numbers["turns_cut"]
    for row in kept.values():  # every limit holds
        assert (rule.min_turns or 1) <= len(row) <= (rule.max_turns or 9)
        assert max(row) <= (rule.max_prompt_tokens or 9)
    assert len(kept) <= (rule.max_conversations or 99)
    assert numbers["requests_kept"] <= (rule.max_requests or 99)
    assert rule.keep == "prefix" or numbers["turns_cut"] == 0


@given(conversations, thresholds())
def test_filtering_twice_changes_nothing(given_conversations: list[TokenizedConversation], rule: Thresholds) -> None:
    once = rule.apply(given_conversations).kept
    assert list(rule.apply(once).kept) == list(once)


@given(conversations, thresholds(keep="whole", totals=False))
def test_prefix_keeps_all_that_whole_keeps(given_conversations: list[TokenizedConversation], whole: Thresholds) -> None:
    prefix = Thresholds(whole.min_turns, whole.max_turns, whole.max_prompt_tokens, keep="prefix")
    kept = lengths(prefix.apply(given_conversations).kept)
    assert lengths(whole.apply(given_conversations).kept).items() <= kept.items()


@given(conversations, thresholds(totals=False), st.integers(1, 12), st.integers(0, 5), st.booleans())
def test_larger_total_keeps_all_that_a_smaller_one_kept(
    given_conversations: list[TokenizedConversation], rule: Thresholds, small: int, more: int, requests: bool
) -> None:
    def kept(total: int) -> dict[str, list[int]]:
        totals: tuple[int | None, int | None] = (None, total) if requests else (total, None)
        limited = Thresholds(rule.min_turns, rule.max_turns, rule.max_prompt_tokens, *totals, rule.keep)
        return lengths(limited.apply(given_conversations).kept)

    smaller, larger = kept(small), kept(small + more)
    assert all(larger[name][: len(row)] == row for name, row in smaller.items())
