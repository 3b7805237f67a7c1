"""The line and the table of a fleet, for the run in conftest.py: A/0 and A/2 on replica 0, A/1 on replica 1.

Replica 0 hits 0 + 4 of 2 + 5 blocks and computes 9 + 4 and 4 + 1 tokens, replica 1 hits 3 of 4 and computes 4 + 2.
"""

from dataclasses import replace

import pytest

from cachelab.fleet.base import Placement
from cachelab.pipeline import Result
from cachelab.report.fleet_section import fleet_line, replicas
from cachelab.report.headline import further_lines


def on(result: Result, *of: int, num_replicas: int = 2) -> Result:
    placement = Placement(num_replicas, (*of, -1), (0,) * 4, 0, 8, 2)
    return replace(result, observation=replace(result.observation, placement=placement))


def test_line_has_hit_rates_imbalance_and_duplicates(result: Result) -> None:
    line = fleet_line(on(result, 0, 1, 0))
    assert line == (
        "2 replicas hit 57.14 %, 75.00 %; imbalance 1.50; 25.00 % of the different cached blocks are in several caches"
    )  # 18 / 12; 2 of 8
    assert further_lines(on(result, 0, 1, 0)) == [line]


def test_line_of_many_replicas_has_the_lowest_and_the_highest_hit_rate(result: Result) -> None:
    line = fleet_line(on(result, 0, 11, 0, num_replicas=12))
    assert line is not None
    assert line.startswith("12 replicas hit 57.14 % to 75.00 %; imbalance 9.00;")


def test_line_of_a_replica_without_requests(result: Result) -> None:
    line = fleet_line(on(result, 1, 1, 1))
    assert line is not None
    assert line.startswith("2 replicas hit -, 63.64 %; ")


def test_table_has_a_row_per_replica(result: Result) -> None:
    section = replicas(on(result, 0, 1, 0).observation, 12)
    assert section.rows == [("0", "2", "4", "7", "57.14 %", "18"), ("1", "1", "3", "4", "75.00 %", "6")]
    assert section.note.startswith("imbalance 1.50; 25.00 % of the different cached blocks")


def test_replicas_in_the_middle_share_a_row(result: Result) -> None:
    rows = replicas(on(result, 0, 5, 4, num_replicas=9).observation, 4).rows
    assert [row[:4] for row in rows] == [
        ("0", "1", "0", "2"),
        ("1", "0", "0", "0"),
        ("2..7", "2", "7", "9"),
        ("8", *"000"),
    ]


@pytest.mark.parametrize("num_replicas", [0, 1])
def test_one_engine_has_neither(result: Result, num_replicas: int) -> None:
    one = on(result, 0, 0, 0, num_replicas=1) if num_replicas else result
    assert fleet_line(one) is None
    assert replicas(one.observation, 12).rows == []
    assert further_lines(one) == []
