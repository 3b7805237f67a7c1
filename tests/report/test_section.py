from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachelab.report.section import count, decimal, grouped, percent, plain, seconds


@pytest.mark.parametrize("show", [count, decimal, percent, plain, seconds])
def test_number_absent(show: Callable[[float | None], str]) -> None:
    assert show(None) == "-"


@pytest.mark.parametrize(
    ("show", "value", "text"),
    [
        (count, 1234567.0, "1,234,567"),
        (decimal, 1.875, "1.88"),
        (percent, 30 / 128, "23.44 %"),
        (percent, 0.0, "0.00 %"),
        (plain, 24019.0, "24,019"),
        (plain, 0.07308, "0.07308"),
        (seconds, 0.0, "0.0000"),
        (seconds, 0.0782, "0.0782"),
        (seconds, 0.0000123, "1.2e-05"),
    ],
)
def test_number_shown(show: Callable[[float | None], str], value: float, text: str) -> None:
    assert show(value) == text


def test_grouped_reasons_that_differ_in_numbers() -> None:
    reasons = ["no room", "2079 tokens > 2048", "4079 tokens > 2048", "3000 tokens > 2048"]

    assert grouped(reasons) == [("2079..4079 tokens > 2048", 3), ("no room", 1)]


def test_grouped_numbers_keep_their_form() -> None:
    """0.01 is one number, and so is 1,234."""
    assert grouped(["no reply within 0.01 s"] * 2) == [("no reply within 0.01 s", 2)]
    assert grouped(["1,234 tokens of 8", "987 tokens of 8"]) == [("987..1,234 tokens of 8", 2)]
    assert grouped(["at 0.5", "at 0.25"]) == [("at 0.25..0.5", 2)]


@given(st.lists(st.text(st.sampled_from("ab 01,."), max_size=8)))
def test_grouped_counts_every_reason(reasons: list[str]) -> None:
    assert sum(number for _, number in grouped(reasons)) == len(reasons)
