"""Policies compared at each size."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cachelab.sweep.retention_comparison import RetentionComparison, compare_policies
from cachelab.sweep.sweep_job import SweepJob


def job(number: int, policy: str, size: int, hit_rate: float, *more: str, **values: float) -> SweepJob:
    found = {"hit_rate/first_prefill": hit_rate, "hit_rate/opt": 0.8, "hit_rate/ideal": 0.9, "engine/num_blocks": size}
    found |= {"losses/expired": 0.1} | {name.replace("_", "/", 1): value for name, value in values.items()}
    return SweepJob(
        number, (f"engine/policy={policy}", f"engine.num_blocks={size + 1}", *more), "FINISHED", values=found
    )


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
    job(0, "lru", 100, 0.5),
    job(1, "ttl", 100, 0.4, "engine.policy.ttl_s=60"),
    job(2, "lru", 2000, 0.6),
    job(3, "ttl", 2000, 0.6, "engine.policy.ttl_s=60"),
    SweepJob(4, ("engine/policy=arc",), "FAILED"),
    SweepJob(5, ("engine.num_blocks=3",), "FINISHED", values={"engine/num_blocks": 2.0}),
]
TABLES = {0: requests([5] * 30), 1: requests([4] * 30), 2: requests([6] * 30), 3: requests([6] * 30)}


def compared(jobs: Sequence[SweepJob]) -> RetentionComparison:
    found = compare_policies(jobs, TABLES)
    assert found is not None
    return found


def test_the_best_policy_and_the_next_one_at_each_size() -> None:
    found = compared(JOBS)
    assert found.arms == ["lru", "ttl ttl_s=60"]
    assert found.sizes == [100, 2000]
    assert found.verdicts == [
        "100 usable blocks: lru has the highest hit rate, 50.00 %; +10.00 points from ttl ttl_s=60, the next one "
        "(95 % interval +10.00 to +10.00; 30 conversations)",
        "2,000 usable blocks: lru has the highest hit rate, 60.00 %; no difference shown from ttl ttl_s=60 (60.00 %)",
    ]


def test_each_policy_is_compared_with_lru_at_its_size() -> None:
    section = compared(JOBS).sections[1]
    assert section.title == "Policies compared with lru"
    assert section.rows == [
        ("100", "ttl ttl_s=60", "-10.00", "-10.00 to -10.00", "lower"),
        ("2,000", "ttl ttl_s=60", "+0.00", "+0.00 to +0.00", "no difference shown"),
    ]


def test_table_has_a_row_per_job() -> None:
    section = compared(JOBS).sections[0]
    assert section.columns == ("usable blocks", "policy", "hit rate", "optimum", "of optimum", "expired")
    assert section.rows[0] == ("100", "lru", "50.00 %", "80.00 %", "62.50 %", "10.00 %")
    assert [row[:2] for row in section.rows][2:] == [("2,000", "lru"), ("2,000", "ttl ttl_s=60")]


def test_table_has_prices_if_a_job_has_one() -> None:
    jobs = [*JOBS[:3], job(6, "ttl_1h", 2000, 0.7, price_prompts=12.345, price_saved_share=0.5)]
    section = compared(jobs).sections[0]
    assert section.columns[-3:] == ("price", "saved", "for expiry")
    assert section.rows[-1][-3:] == ("12.35", "50.00 %", "-")
    assert "estimated" in section.note
    assert section.note.endswith("price.written is by lifetime, and has none for the lifetime of the policy's blocks.")
    all_priced = [job(n, policy, 100, 0.5, price_prompts=1.0) for n, policy in enumerate(("lru", "ttl"))]
    assert "No price" not in compared(all_priced).sections[0].note


def test_setting_that_all_jobs_share_is_no_part_of_the_name() -> None:
    jobs = [job(n, policy, 100, 0.5, "engine.policy.first_blocks=4") for n, policy in enumerate(("lru", "pinned"))]
    assert compared(jobs).arms == ["lru", "pinned"]


def test_jobs_that_differ_in_more_are_not_compared_as_policies() -> None:
    jobs = [job(n, policy, 100, 0.5, f"order.rate={n}") for n, policy in enumerate(("lru", "arc"))]
    assert compare_policies(jobs, TABLES) is None
    assert compare_policies(JOBS[::2][:2], TABLES) is None  # one policy


def test_figure_has_a_curve_per_policy_and_the_optimum() -> None:
    figure = compared(JOBS).draw()["policies"]
    assert figure is not None
    lines = figure.axes[0].get_lines()
    assert [line.get_label() for line in lines] == ["lru", "ttl ttl_s=60", "optimum", "unlimited cache"]
    assert np.asarray(lines[0].get_xydata()).tolist() == [[100, 50.0], [2000, 60.0]]
    assert compared(JOBS[:2]).draw() == {"policies": None}
