from hypothesis import given
from hypothesis import strategies as st

from cachelab.report.clauses import in_clauses

VERDICT = "a is higher than b: +81.90 points (95 % interval +78.09 to +85.26; 132 conversations)"


def test_line_that_fits_is_kept() -> None:
    assert in_clauses(VERDICT, 100) == [VERDICT]


def test_line_is_broken_between_its_clauses() -> None:
    assert in_clauses(VERDICT, 80) == [
        "a is higher than b: +81.90 points (95 % interval +78.09 to +85.26;",
        "132 conversations)",
    ]
    assert in_clauses(VERDICT, 60)[0] == "a is higher than b: +81.90 points"


def test_long_clause_is_broken_between_words() -> None:
    assert in_clauses("one two three four", 9) == ["one two", "three", "four"]


@given(st.lists(st.sampled_from(["a", "bb:", "(ccc", "dddd;", "ee,"]), min_size=1), st.integers(8, 40))
def test_no_word_is_lost_and_no_line_is_too_long(words: list[str], width: int) -> None:
    lines = in_clauses(" ".join(words), width)

    assert " ".join(lines).split() == words
    assert max(map(len, lines)) <= width
