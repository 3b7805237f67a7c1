"""Steps taken together leave the records and counters of the same steps one by one."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachelab.engine.base import EngineRun
from cachelab.engine.sim import SimEngine
from cachelab.engine.step_cost import StepCost
from cachelab.engine.step_points import StepPoints
from cachelab.engine.table_cost import AnyCost, TableCost
from cachelab.engine.vllm.decode_stretch import DecodeStretch
from cachelab.order.sessions import Sessions
from cachelab.order.timed import Timed
from cachelab.request import Schedule
from workloads import random_requests, request


def run(schedule: Schedule, **fields: Any) -> EngineRun:
    return SimEngine(**fields).run(schedule, lambda ended: None)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> AnyCost:
    path: Path = tmp_path_factory.mktemp("costs") / "points.csv"
    corners = [(p, d, c) for p in (0, 100) for d in (0, 4) for c in (0, 300)]
    StepPoints.of([(p, d, c, 0.001 + p * 3e-5 + d * d * 7e-4 + c * 1.3e-6) for p, d, c in corners]).write(path)
    return TableCost(str(path))


@pytest.mark.slow
@given(
    seed=st.integers(0, 10**6),
    seqs=st.sampled_from([2, 3, 8]),
    block_size=st.sampled_from([1, 4, 16]),
    spare=st.integers(0, 40),
    batched=st.sampled_from([9, 64, 8192]),
    caching=st.booleans(),
    rate=st.sampled_from([None, 0.5, 5.0, 100.0]),
    measured=st.booleans(),
    policy=st.sampled_from(["fcfs", "priority"]),
)
@settings(max_examples=30, deadline=None)
def test_steps_together_give_what_they_give_one_by_one(
    table: AnyCost,
    seed: int,
    seqs: int,
    block_size: int,
    spare: int,
    batched: int,
    caching: bool,
    rate: float | None,
    measured: bool,
    policy: str,
) -> None:
    requests = random_requests(seed, 8)
    schedule = (
        Sessions(num_users=seqs).arrange(requests)
        if rate is None
        else Timed(start="poisson", rate=rate, seed=seed, think_s=0.05).arrange(requests)
    )
    fields: dict[str, Any] = {
        "block_size": block_size,
        "max_model_len": 200,
        "max_num_seqs": seqs,
        # one request of the longest fits: several preempt each other
        "num_blocks": -(-200 // block_size) + 1 + spare,
        "max_num_batched_tokens": batched,
        "enable_prefix_caching": caching,
        "cost": table if measured else StepCost(),
        "args": {"scheduling_policy": policy},
    }
    token = run(schedule, decode="token", **fields)
    together = run(schedule, decode="auto", **fields)
    assert together.records == token.records
    assert together.counters == token.counters
    assert together.notes == token.notes


def test_steps_of_decodes_are_taken_together(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    take = DecodeStretch.take

    def noted(self: DecodeStretch, until_ns: int | None) -> Any:
        found = take(self, until_ns)
        taken.append(found[0])
        return found

    monkeypatch.setattr(DecodeStretch, "take", noted)
    # A prefill of both; 39 decodes of both; the last one of a; 60 decodes of b. The scheduler runs the steps that end.
    both = [request("a", 0, range(12), range(41)), request("b", 0, range(50, 62), range(101))]
    result = run(Sessions(num_users=2).arrange(both), max_num_seqs=2, block_size=4, max_model_len=200, num_blocks=100)
    assert [steps for steps in taken if steps] == [39, 59]
    assert result.counters.steps == 101
