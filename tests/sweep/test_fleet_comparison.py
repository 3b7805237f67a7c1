"""Routers compared at each number of replicas."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cachelab.sweep.fleet_comparison import compare_fleets, fleet_figure
from cachelab.sweep.sweep_job import SweepJob


def job(number: int, router: str, size: int, hit_rate: float, status: str = "FINISHED") -> SweepJob:
    overrides = (f"fleet/router={router}", f"fleet.num_replicas={size}")
    values = {"hit_rate/first_prefill": hit_rate, "fleet/imbalance": 1.0 + size / 10, "hit_rate/ideal": 0.9}
    return SweepJob(number, overrides, status, values=values)


def requests(hits: Sequence[int]) -> Mapping[str, Sequence[Any]]:
    """One request of ten blocks of four tokens per conversation."""
    n = len(hits)
    return {
        "conversation_id": [f"c{index}" for index in range(n)],
        "turn_index": [0] * n,
        "outcome": ["completed"] * n,
        "prompt_tokens": [40] * n,
        "cached_tokens": [4 * hit for hit in hits],
        "prefill_index": list(range(n)),
        "full_blocks": [10] * n,
        "hit_blocks": list(hits),
        "host_hit_blocks": [0] * n,
        "ideal_hit_blocks": [9] * n,
    }


JOBS = [
    job(0, "round_robin", 1, 0.8),
    job(1, "sticky", 1, 0.8),
    job(2, "round_robin", 2, 0.5),
    job(3, "sticky", 2, 0.7),
    job(4, "random", 2, 0.0, status="FAILED"),
    SweepJob(5, ("fleet=single",), "FINISHED"),
]
TABLES = {0: requests([8] * 30), 1: requests([8] * 30), 2: requests([5] * 30), 3: requests([7] * 30)}


def test_each_router_is_compared_with_round_robin_at_its_size() -> None:
    found = compare_fleets(JOBS, TABLES)
    assert found.routers == ["round_robin", "sticky"]
    assert found.sizes == [1, 2]
    assert found.verdicts == [
        "sticky x 2 is higher than round_robin x 2: +20.00 points (95 % interval +20.00 to +20.00; 30 conversations)"
    ]


def test_table_has_a_row_per_job() -> None:
    rows = compare_fleets(JOBS, TABLES).section.rows
    assert [row[:3] for row in rows] == [
        ("1", "round_robin", "80.00 %"),
        ("1", "sticky", "80.00 %"),
        ("2", "round_robin", "50.00 %"),
        ("2", "sticky", "70.00 %"),
    ]
    assert {row[4] for row in rows} == {"1.10", "1.20"}


def test_figure_has_a_curve_per_router_and_number() -> None:
    figure = fleet_figure(compare_fleets(JOBS, TABLES))
    assert figure is not None
    upper, lower = figure.axes
    assert [line.get_label() for line in upper.get_lines()] == ["round_robin", "sticky", "one unlimited cache"]
    assert np.asarray(lower.get_lines()[1].get_xdata()).tolist() == [1, 2]
    assert fleet_figure(compare_fleets(JOBS[:2], TABLES)) is None
