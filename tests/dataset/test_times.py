"""Times of any unit and form become nanoseconds; what could be several units is refused."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachelab.dataset.times import TimeReader, TimeUnit
from cachelab.errors import DatasetError

MOMENT = 1_718_000_000_123_456_000  # 2024-06-10 06:13:20.123456 UTC, in nanoseconds


@pytest.mark.parametrize(
    ("written", "lost"),
    [
        (1_718_000_000, 123_456_000),
        (1_718_000_000.123456, 0),
        (1_718_000_000_123, 456_000),
        (1_718_000_000_123_456, 0),
        (1_718_000_000_123_456_000, 0),
        ("1718000000.123456", 0),
        ("2024-06-10T06:13:20.123456Z", 0),
        ("2024-06-10T08:13:20.123456+02:00", 0),
        ("2024-06-10 06:13:20.123456", 0),
        ("2024-06-10 06:13:20.123456 UTC", 0),
        (datetime(2024, 6, 10, 6, 13, 20, 123456), 0),
        (datetime(2024, 6, 10, 6, 13, 20, 123456, UTC), 0),
    ],
)
def test_every_form_is_the_same_moment(written: Any, lost: int) -> None:
    assert TimeReader().ns(written, "x") == MOMENT - lost


@given(st.integers(10**17, (1 << 63) - 1), st.sampled_from([("s", 10**9), ("ms", 10**6), ("us", 10**3), ("ns", 1)]))
def test_recognised_unit_equals_the_given_one(ns: int, unit: tuple[TimeUnit, int]) -> None:
    name, factor = unit
    assert TimeReader().ns(ns // factor, "x") == TimeReader(name).ns(ns // factor, "x") == ns // factor * factor


def test_relative_times_need_their_unit() -> None:
    assert TimeReader("s").ns(12.5, "x") == 12_500_000_000
    assert TimeReader("ms").ns(0, "x") == 0
    assert TimeReader("none").ns(12.5, "x") is TimeReader().ns(None, "x") is None
    with pytest.raises(DatasetError, match=r"f: line 3: field t is 12\.5, .*no date .*dataset\.timestamp_unit"):
        TimeReader().ns(12.5, "f: line 3: field t")


def test_one_source_has_one_unit() -> None:
    reader = TimeReader()
    reader.ns(1_718_000_000, "x")
    with pytest.raises(DatasetError, match=r"milliseconds by its size, but the times before are seconds"):
        reader.ns(1_718_000_000_000, "y")


@pytest.mark.parametrize(
    "value", [True, [], {}, float("nan"), float("inf"), "yesterday", "", "2024-13-01", 1e300, 10**40]
)
def test_what_is_no_time_is_refused_in_one_line(value: Any) -> None:
    for unit in ("auto", "s"):
        with pytest.raises(DatasetError, match=r"^f: line 1: field t is .*dataset\.timestamp_unit") as caught:
            TimeReader(unit).ns(value, "f: line 1: field t")
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 300


def test_notes_say_the_unit_and_the_missing_zone() -> None:
    reader = TimeReader()
    assert not reader.notes
    for value in (1_718_000_000_000, "2024-06-10T06:13:20", "2024-06-10T06:13:20Z"):
        reader.ns(value, "x")
    assert reader.notes == (
        "times: numbers are milliseconds (recognised by their size)",
        "times: 2 dates, 1 of them without a time zone, read as UTC",
    )
