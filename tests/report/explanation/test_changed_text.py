"""Texts of prompts in a report: harmless, in one line, with the difference in sight."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from cachelab.explanation import Break, Cause, Place
from cachelab.metrics.base import Ratio
from cachelab.report.explanation.changed_text import before_and_after, cut_middle, printable

FOUND = Break(1, "a", 1, "date_or_time", Place("message", "system message"), "10:32", "10:33", "It is ", " now.", 9)
CAUSE = Cause("date_or_time", "system message", "system", "10:32", "10:33", 1, 9, Ratio(1, 2), example=FOUND)


def shown(width: int = 80, **changes: Any) -> tuple[str, str]:
    texts = before_and_after(replace(CAUSE, example=replace(FOUND, **changes)), width)
    assert texts is not None
    return texts[0].marked, texts[1].marked


def test_difference_is_in_brackets_between_the_texts_around_it() -> None:
    assert shown() == ("It is [10:32] now.", "It is [10:33] now.")


def test_context_is_cut_before_the_difference() -> None:
    long = {"left": "The quick brown fox jumps over ", "right": " and the lazy dog sleeps on."}
    assert shown(30, **long) == ("…umps over [10:32] and the la…", "…umps over [10:33] and the la…")


def test_long_change_keeps_both_ends() -> None:
    before, _ = shown(40, before="a" * 60 + "z" * 60)
    assert before.startswith("It is [aaaa")
    assert "…" in before
    assert "zzz]" in before
    assert cell_len(before) <= 40


def test_change_of_white_space_is_visible() -> None:
    assert shown(before="\n\n", after="\n  ") == ("It is [⏎⏎] now.", "It is [⏎··] now.")
    assert shown(before="a b", after="ab") == ("It is [a·b] now.", "It is [ab] now.")


def test_text_that_was_added_or_removed_leaves_empty_brackets() -> None:
    assert shown(before="") == ("It is [] now.", "It is [10:33] now.")


def test_cause_without_texts_shows_none() -> None:
    hidden = replace(FOUND, before="", after="", left="", right="")
    assert before_and_after(replace(CAUSE, example=hidden), 80) is None
    assert before_and_after(replace(CAUSE, example=None, before="", after=""), 80) is None
    alone = before_and_after(replace(CAUSE, example=None), 80)
    assert alone is not None
    assert alone[0].marked == "[10:32]"


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("a\nb\tc\r", "a⏎b⇥c␍"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\u202eabc", "\\u202eabc"),  # turns the line around
        ("\U000e0041", "\\U000e0041"),
        ("\ud800", "\\ud800"),
        ("größer 大 🙂", "größer 大 🙂"),
    ],
)
def test_printable_writes_control_characters_as_numbers(text: str, safe: str) -> None:
    assert printable(text) == safe


@given(st.text(), st.text(), st.text(), st.text(), st.integers(12, 120))
def test_texts_fit_and_are_printable(left: str, before: str, after: str, right: str, width: int) -> None:
    texts = before_and_after(
        replace(CAUSE, example=replace(FOUND, before=before, after=after, left=left, right=right)), width
    )
    for text in texts or ():
        assert cell_len(text.marked) <= width
        assert text.marked.isprintable()
        text.marked.encode()


@given(st.text(), st.integers(1, 50))
def test_cut_middle_fits(text: str, width: int) -> None:
    assert cell_len(cut_middle(text, width)) <= width
    assert cut_middle(text, 10**6) == text
