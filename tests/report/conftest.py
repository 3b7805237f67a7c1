"""A run of four requests worked by hand, as the report sees it (block size 4).

| request | prompt tokens | full blocks | hit blocks | first scheduled at |
|---------|---------------|-------------|------------|--------------------|
| A/0     | 9             | 2           | 0          | 0 s                |
| A/1     | 9 + 4 + 3 = 16 | 4          | 3          | 1 s                |
| A/2     | 16 + 2 + 2 = 20 | 5         | 4          | 3 s                |
| B/0     | 40            | rejected    |            |                    |

Hits 0 + 3 + 4 = 7 of 2 + 4 + 5 = 11 blocks: 63.64 %. Blocks 0, 1, 2 are hit twice, block 3 once: 4 distinct, 3 reuses,
each 3 s - 1 s = 2 s and one request after the hit before. Nothing was evicted, so an unlimited cache hits the same.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from cachelab.dataset.base import LoadedDataset
from cachelab.engine.base import EngineCounters, EngineRun
from cachelab.metrics.base import AnyMetric, Numbers, measure
from cachelab.metrics.observation import Observation
from cachelab.pipeline import Result, Workload
from cachelab.request import Request, RequestRecord
from cachelab.tracking.description import RunDescription, describe
from workloads import conversation, one_lane, request

SECOND_NS = 10**9
COUNTERS = EngineCounters("simulated", 4, 12, 7, 0.5, 45, 28, 0, 0)
CONFIG = {
    "dataset": {"_target_": "cachelab.dataset.sample.Sample"},
    "order": {"_target_": "cachelab.order.sessions.Sessions", "num_users": 4},
    "engine": {
        "_target_": "cachelab.engine.sim.SimEngine",
        "block_size": 4,
        "cost": {"_target_": "cachelab.engine.step_cost.StepCost", "step_s": 0.008},
        "args": {},
    },
}

MakeResult = Callable[..., Result]


def record(
    conversation_id: str,
    turn: int,
    prompt_tokens: int,
    cached_tokens: int,
    reply_tokens: int,
    index: int,
    *,
    scheduled_s: float | None = None,
) -> RequestRecord:
    start_ns = int(SECOND_NS * (index if scheduled_s is None else scheduled_s))
    return RequestRecord(
        request_id=f"{conversation_id}/{turn}",
        conversation_id=conversation_id,
        turn_index=turn,
        outcome="completed",
        prompt_tokens=prompt_tokens,
        cached_tokens=cached_tokens,
        reply_tokens=reply_tokens,
        prefill_index=index,
        submitted_ns=start_ns,
        first_scheduled_ns=start_ns,
        first_token_ns=start_ns + SECOND_NS // 4,
        finished_ns=start_ns + SECOND_NS // 2,
    )


def rejected(conversation_id: str, prompt_tokens: int) -> RequestRecord:
    reason = f"prompt of {prompt_tokens} tokens leaves no room in max_model_len 32"
    return RequestRecord(
        f"{conversation_id}/0", conversation_id, 0, "rejected", prompt_tokens, reason=reason, prefill_index=None
    )


@pytest.fixture(scope="session")
def metrics() -> list[AnyMetric]:
    """All that conf/metrics/default.yaml names."""
    path = Path(__file__).resolve().parents[2] / "conf/metrics/default.yaml"
    found: list[AnyMetric] = []
    for dotted in yaml.safe_load(path.read_text(encoding="utf-8")).values():
        module, name = dotted.rsplit(".", 1)
        found.extend(getattr(importlib.import_module(module), name))
    return found


@pytest.fixture(scope="session")
def make_result(metrics: Sequence[AnyMetric]) -> MakeResult:
    def make(
        requests: Sequence[Request],
        records: Sequence[RequestRecord],
        *,
        stages: Mapping[str, float] | None = None,
        **counters: object,
    ) -> Result:
        dataset = LoadedDataset("sample", "sample.json", "ab" * 32, [], {})
        workload = Workload(dataset, (), requests, one_lane(requests), dict(stages or {}))
        run = EngineRun(records, replace(COUNTERS, **counters))  # type: ignore[arg-type]
        observation = Observation.of(requests, run)
        measured = measure(metrics, observation)
        numbers = Numbers(workload.numbers | dict(measured.values), measured.series)
        return Result(workload, run, observation, numbers)

    return make


@pytest.fixture(scope="session")
def requests() -> list[Request]:
    chat = conversation("A", (range(9), range(100, 104)), (range(3), [200, 201]), ([7, 8], [300]))
    return [*chat, request("B", 0, range(40), [1])]


@pytest.fixture(scope="session")
def result(requests: Sequence[Request], make_result: MakeResult) -> Result:
    records = [
        record("A", 0, 9, 0, 4, 0),
        record("A", 1, 16, 12, 2, 1),
        record("A", 2, 20, 16, 1, 2, scheduled_s=3),
        rejected("B", 40),
    ]
    return make_result(requests, records, stages={"dataset/turns": 4.0, "filter/turns_cut": 0.0})


@pytest.fixture(scope="session")
def all_rejected(requests: Sequence[Request], make_result: MakeResult) -> Result:
    return make_result(requests[3:], [rejected("B", 40)], queries_tokens=0, hits_tokens=0)


@pytest.fixture
def description(tmp_path: Path) -> RunDescription:
    return describe(
        run_name="multi_turn order=sessions",
        config=CONFIG,
        config_yaml=yaml.safe_dump(CONFIG),
        overrides=["experiment=multi_turn", "order=sessions"],
        command="python -m cachelab experiment=multi_turn order=sessions",
        engine="sim",
        engine_version="0.32.0",
        output_dir=tmp_path,
    )
