"""Changed texts and their classes."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachelab.explanation.common_subsequence import common_subsequence
from cachelab.explanation.text_class import text_class
from cachelab.explanation.text_gap import end_gap, similar, text_gaps

CASES = [
    ("Now: 2025-03-01 10:22:01.", "Now: 2025-03-01 10:22:09.", "date_or_time"),
    ("Now: 2025-03-01T10:22:01Z.", "Now: 2025-03-02T09:00:00Z.", "date_or_time"),
    ("It is 9:59 PM now.", "It is 10:01 PM now.", "date_or_time"),
    ("Today is Monday, March 3, 2025.", "Today is Friday, March 7, 2025.", "date_or_time"),
    ("Date: 3 March 2025", "Date: 12 April 2025", "date_or_time"),
    ("Timestamp: 1741000000", "Timestamp: 1741000321", "date_or_time"),
    ('{"ts":"2025-03-01 10:22","a":1}', '{"ts":"2025-03-01 10:23","a":1}', "date_or_time"),
    ("Id 6ba7b810-9dad-11d1-80b4-00c04fd430c8 here", "Id 1b4e28ba-2fa1-11d2-883f-0016d3cca427 here", "id_or_number"),
    ("This is call 7 of 9", "This is call 8 of 9", "id_or_number"),
    ("request_id=req_8fh3k2 ok", "request_id=req_9zz1p0 ok", "id_or_number"),
    ("Session token: abcdef end", "Session token: uvwxyz end", "id_or_number"),
    ("User name: Ada\nHelp.", "User name: Grace\nHelp.", "user_field"),
    ("You are helping Ada Lovelace today", "You are helping Grace Lovelace today", "user_field"),
    ("user_id=4711 asks", "user_id=4712 asks", "user_field"),
    ("Write to ada@example.org first", "Write to grace@example.org first", "user_field"),
    ("one  two", "one two", "white_space"),
    ("one two\n", "one two", "white_space"),
    ("Answer in short words", "Answer in long words", None),
]


@pytest.mark.parametrize(("before", "now", "kind"), CASES)
def test_class_of_a_changed_text(before: str, now: str, kind: str | None) -> None:
    gaps = text_gaps(before, now)
    assert gaps
    assert {text_class(before, now, gap, False) for gap in gaps} == {kind}


@pytest.mark.parametrize(
    ("before", "now", "kind"),
    [
        ("Add 7 apples", "Add 8 apples", None),  # the number is the task
        ("My name is Ada", "My name is Grace", None),
        ("Now it is 10:22. Sum up:", "Now it is 10:23. Sum up:", "date_or_time"),
        ("Trace 4bf92f3577b34da6 of it", "Trace 00f067aa0ba902b7 of it", "id_or_number"),
    ],
)
def test_numbers_and_names_of_another_task_are_its_content(before: str, now: str, kind: str | None) -> None:
    (gap,) = text_gaps(before, now)
    assert text_class(before, now, gap, True) == kind


TEXT = st.lists(st.sampled_from(["a", "b", " ", "\n", "cc", "  "]), max_size=12).map("".join)


@given(TEXT, TEXT)
def test_gaps_put_into_one_text_make_the_other(before: str, now: str) -> None:
    made = now
    for gap in reversed(text_gaps(before, now)):
        made = made[: gap.start_now] + before[gap.start_before : gap.end_before] + made[gap.end_now :]
    assert made == before
    gap = end_gap(before, now)
    assert now[: gap.start_now] + before[gap.start_before : gap.end_before] + now[gap.end_now :] == before


@given(TEXT)
def test_equal_texts_have_no_gap_and_are_similar(text: str) -> None:
    assert not text_gaps(text, text)
    assert similar(text, text)


def brute_force(a: str, b: str) -> int:
    lengths = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            lengths[i + 1][j + 1] = lengths[i][j] + 1 if x == y else max(lengths[i][j + 1], lengths[i + 1][j])
    return lengths[-1][-1]


@given(st.text("abc", max_size=12), st.text("abc", max_size=12))
def test_common_subsequence_is_a_longest_one(a: str, b: str) -> None:
    pairs = common_subsequence(a, b)
    assert all(a[i] == b[j] for i, j in pairs)
    assert all(i < k and j < n for (i, j), (k, n) in pairwise(pairs))
    assert len(pairs) == brute_force(a, b)
