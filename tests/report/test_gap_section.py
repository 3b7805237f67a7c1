"""The gap of the hit rate, as it is shown."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from cachelab.pipeline import Result
from cachelab.report.gap_section import gap

VALUES = {
    "hit_rate/first_prefill": 0.25,
    "agreement/hit_rate": 0.25,
    "agreement/mismatches": 0.0,
    "hit_rate/opt": 0.5,
    "hit_rate/depth_first": 0.625,
    "hit_rate/ideal": 0.75,
    "capacity/knee_blocks": 1200.0,
}


def result(values: dict[str, float]) -> Result:
    numbers: Any = SimpleNamespace(values=values)
    return cast(Result, SimpleNamespace(numbers=numbers))


def test_every_condition_has_its_points_and_what_moves_it() -> None:
    shown = gap(result(VALUES))
    assert shown.rows == [
        ("measured", "25.00 %", "", ""),
        ("the simulator", "25.00 %", "+0.00", "nothing: no request differs"),
        ("the best eviction (Belady)", "50.00 %", "+25.00", "the eviction policy"),
        ("common prefixes together", "62.50 %", "+37.50", "the order, a router"),
        ("an unlimited cache", "75.00 %", "+50.00", "memory: the knee is 1,200 blocks"),
    ]
    assert "misses the other 25.00 %" in shown.note
    assert "recorded replies" in shown.note


def test_a_condition_that_gains_nothing_has_no_advice() -> None:
    rows = gap(result(VALUES | {"hit_rate/opt": 0.25, "hit_rate/ideal": 0.25})).rows
    assert [row[3] for row in rows[2:]] == ["nothing to gain", "the order, a router", "nothing to gain"]


def test_requests_that_differ_are_counted() -> None:
    rows = gap(result(VALUES | {"agreement/hit_rate": 0.375, "agreement/mismatches": 1234.0})).rows
    assert rows[1][1:3] == ("37.50 %", "+12.50")
    assert rows[1][3].startswith("1,234 differ: ")


@pytest.mark.parametrize("absent", ["hit_rate/first_prefill", "agreement/hit_rate"])
def test_no_table_without_both_engines(absent: str) -> None:
    assert not gap(result({name: value for name, value in VALUES.items() if name != absent})).rows


def test_absent_rates_are_left_out() -> None:
    shown = gap(result({name: VALUES[name] for name in ("hit_rate/first_prefill", "agreement/hit_rate")}))
    assert [row[0] for row in shown.rows] == ["measured", "the simulator"]
    assert "unlimited" not in shown.note
