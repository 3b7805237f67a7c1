"""Policies compared at each size."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cachelab.sweep.retention_comparison import compare_policies, retention_figure
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
    job(2, "lru", 200, 0.6),
    job(3, "ttl", 200, 0.6, "engine.policy.ttl_s=60"),
    SweepJob(4, ("engine/policy=arc",), "FAILED"),
    SweepJob(5, ("engine.num_blocks=3",), "FINISHED", values={"engine/num_blocks": 2.0}),
]
TABLES = {0: requests([5] * 30), 1: requests([4] * 30), 2: requests([6] * 30), 3: requests([6] * 30)}


def test_each_policy_is_compared_with_lru_at_its_size() -> None:
    found = compare_policies(JOBS, TABLES)
    assert found.policies == ["lru", "ttl ttl_s=60"]
    assert found.sizes == [100, 200]
    lower, same = found.verdicts
    assert lower.startswith("ttl ttl_s=60 at 100 blocks is lower than lru at 100 blocks: -10.00 points")
    assert same.startswith("no difference shown between ttl ttl_s=60 at 200 blocks and lru at 200 blocks")


def test_table_has_a_row_per_job() -> None:
    section = compare_policies(JOBS, TABLES).section
    assert section.columns == ("blocks", "policy", "hit rate", "optimum", "of optimum", "expired")
    assert section.rows[0] == ("100", "lru", "50.00 %", "80.00 %", "62.50 %", "10.00 %")
    assert [row[:2] for row in section.rows][2:] == [("200", "lru"), ("200", "ttl ttl_s=60")]


def test_table_has_prices_if_a_job_has_one() -> None:
    jobs = [*JOBS[:3], job(6, "ttl_1h", 200, 0.7, price_prompts=12.345, price_saved_share=0.5)]
    section = compare_policies(jobs, TABLES).section
    assert section.columns[-3:] == ("price", "saved", "for expiry")
    assert section.rows[-1][-3:] == ("12.35", "50.00 %", "-")
    assert "estimated" in section.note


def test_figure_has_a_curve_per_policy_and_the_optimum() -> None:
    figure = retention_figure(compare_policies(JOBS, TABLES))
    assert figure is not None
    lines = figure.axes[0].get_lines()
    assert [line.get_label() for line in lines] == ["lru", "ttl ttl_s=60", "optimum", "unlimited cache"]
    assert np.asarray(lines[0].get_xydata()).tolist() == [[100, 50.0], [200, 60.0]]
    assert retention_figure(compare_policies(JOBS[:2], TABLES)) is None
