from dataclasses import replace
from typing import Any

import pytest

from cachelab.engine.base import EngineRun
from cachelab.errors import EngineError
from cachelab.metrics.observation import Observation


def test_completed_in_order_of_first_prefills(golden: Observation) -> None:
    assert [record.request_id for record in golden.completed] == ["A0", "B0", "A1", "D0", "B1", "C0", "A2", "C1", "D1"]


def test_observation_lost_request(golden: Observation) -> None:
    run = EngineRun(golden.records[2:], golden.counters)
    with pytest.raises(EngineError, match="8 completed or rejected; without a record: A0 and 1 more"):
        Observation.of(list(golden.requests.values()), run)


def test_observation_unknown_request(golden: Observation) -> None:
    requests = {name: request for name, request in golden.requests.items() if name != "B1"}
    with pytest.raises(EngineError, match=r"without a record: B1$"):
        Observation(requests, golden.records, golden.counters)


def test_observation_request_recorded_twice(golden: Observation) -> None:
    with pytest.raises(EngineError, match="10 requests submitted, but 11 records came back"):
        Observation(golden.requests, [*golden.records, golden.records[0]], golden.counters)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prefill_index": None}, "request A0 completed without prefill_index"),
        ({"finished_ns": None}, "request A0 completed without finished_ns"),
        ({"prompt_tokens": 8}, "request A0 has 9 prompt tokens, its record 8"),
        ({"cached_tokens": 12}, "request A0 has 9 prompt tokens, but its record says 12 cached"),
        ({"prefill_index": 8}, "9 requests completed with 8 prefill indices"),
    ],
)
def test_observation_contradictory_record(golden: Observation, changes: dict[str, Any], message: str) -> None:
    records = [replace(golden.records[0], **changes), *golden.records[1:]]
    with pytest.raises(EngineError, match=message):
        Observation(golden.requests, records, golden.counters)
