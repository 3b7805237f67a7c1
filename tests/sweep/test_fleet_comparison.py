"""Routers compared at each number of replicas."""

from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from cachelab.sweep.console import print_sweep
from cachelab.sweep.fleet_comparison import FleetComparison, compare_fleets
from cachelab.sweep.sweep_job import SweepJob
from cachelab.sweep.sweep_report import report_sweep, write_sweep


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
    job(4, "prefix_aware", 2, 0.69),
    job(5, "random", 2, 0.0, status="FAILED"),
]
# The hits of prefix_aware differ between conversations: some hit more than with sticky, some less.
TABLES = {
    0: requests([8] * 30),
    1: requests([8] * 30),
    2: requests([5] * 30),
    3: requests([7] * 30),
    4: requests([9, 5] * 14 + [7, 4]),
}


def compared(jobs: Sequence[SweepJob]) -> FleetComparison:
    found = compare_fleets(jobs, TABLES)
    assert found is not None
    return found


def test_the_best_router_and_those_as_good_as_it() -> None:
    assert compared(JOBS).verdicts == [
        "2 replicas: sticky has the highest hit rate, 70.00 %, imbalance 1.20; no difference shown from prefix_aware "
        "(69.00 %, imbalance 1.20)"
    ]


def test_the_best_router_and_the_next_one() -> None:
    assert compared(JOBS[:4]).verdicts == [
        "2 replicas: sticky has the highest hit rate, 70.00 %, imbalance 1.20; +20.00 points from round_robin, the "
        "next one (95 % interval +20.00 to +20.00; 30 conversations)"
    ]


def test_routers_with_one_conversation_have_no_verdict() -> None:
    """A difference of 30 points without an interval is not "no difference shown"."""
    found = compare_fleets(JOBS[2:4], {2: requests([5]), 3: requests([8])})
    assert found is not None
    assert found.verdicts == [
        "2 replicas: sticky has the highest hit rate, 70.00 %, imbalance 1.20; no interval without two conversations "
        "in common (round_robin)"
    ]


def test_table_has_a_row_per_job() -> None:
    rows = compared(JOBS).sections[0].rows
    assert [row[:3] for row in rows] == [
        ("1", "round_robin", "80.00 %"),
        ("1", "sticky", "80.00 %"),
        ("2", "round_robin", "50.00 %"),
        ("2", "sticky", "70.00 %"),
        ("2", "prefix_aware", "69.00 %"),
    ]
    assert {row[4] for row in rows} == {"1.10", "1.20"}


def test_each_router_is_compared_with_round_robin_at_its_size() -> None:
    rows = compared(JOBS).sections[1].rows
    assert [row[:3] for row in rows] == [("2", "sticky", "+20.00"), ("2", "prefix_aware", "+19.00")]
    assert {row[4] for row in rows} == {"higher"}
    assert compared(JOBS).sections[1].note == "Hit rates, paired by conversation (30) at the same number of replicas."


def test_figure_has_a_curve_per_router_and_number() -> None:
    figure = compared(JOBS[:4]).draw()["routers"]
    assert figure is not None
    upper, lower = figure.axes
    assert [line.get_label() for line in upper.get_lines()] == ["round_robin", "sticky", "one unlimited cache"]
    assert np.asarray(lower.get_lines()[1].get_xdata()).tolist() == [1, 2]
    assert compared(JOBS[:2]).draw() == {"routers": None}


def test_jobs_that_differ_in_more_are_not_compared_as_routers() -> None:
    assert compare_fleets([*JOBS, SweepJob(6, ("fleet=single",), "FINISHED")], TABLES) is None
    assert compare_fleets(JOBS[::2][:2], TABLES) is None


def test_report_of_a_sweep_begins_with_the_routers(tmp_path: Path) -> None:
    fleets = compared(JOBS)
    report = report_sweep("routers", JOBS, [], None, {}, ["hit_rate/first_prefill"], by_size=fleets)
    assert report.headlines[0] == fleets.verdicts[0]
    assert [section.title for section in report.sections] == [
        "Routers",
        "Routers compared with round_robin",
        "Jobs",
    ]
    folder = write_sweep(report, tmp_path / "sweep", {}, "cachelab --multirun experiment=fleet")
    assert (folder / "figures" / "routers.png").is_file()
    assert not (folder / "figures" / "hit_rate.png").exists()
    page = (folder / "report.html").read_text()
    assert fleets.verdicts[0] in page
    assert fleets.FIGURES["routers"] in page


def test_console_has_the_table_of_jobs_only_if_one_failed() -> None:
    for jobs, shown in ((JOBS, True), (JOBS[:5], False)):
        report = report_sweep("routers", jobs, [], None, {}, ["hit_rate/first_prefill"], by_size=compared(jobs))
        out = StringIO()
        print_sweep(report, {"files": "out"}, Console(file=out, width=80))
        assert "Routers compared with round_robin" in out.getvalue()
        assert ("Jobs" in out.getvalue()) == shown
