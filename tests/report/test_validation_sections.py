"""The agreement with a second engine, as it is shown."""

from typing import Any

from cachelab.engine.base import EngineCounters
from cachelab.metrics.observation import Observation
from cachelab.report.validation_sections import agreement
from cachelab.request import RequestRecord
from workloads import request

REQUESTS = {name: request(name, 0, range(64), [1]) for name in ("a", "b", "c")}


def record(name: str, index: int, cached_tokens: int) -> RequestRecord:
    times: dict[str, Any] = dict.fromkeys(
        ("submitted_ns", "first_scheduled_ns", "first_token_ns", "finished_ns"), index
    )
    return RequestRecord(
        f"{name}/0", name, 0, "completed", 64, cached_tokens=cached_tokens, prefill_index=index, **times
    )


def observation(references: list[RequestRecord] | None) -> Observation:
    records = [record("a", 0, 0), record("b", 1, 32), record("c", 2, 48)]
    counters = EngineCounters("wall", 16, 10, 3, 0.5, 0, 0, 0, 0)
    return Observation({entry.id: entry for entry in REQUESTS.values()}, records, counters, references)


def test_agreement_section_names_the_first_and_the_largest() -> None:
    shown = agreement(observation([record("a", 0, 0), record("b", 1, 16), record("c", 2, 0)]))
    assert shown.rows == [
        ("requests compared", "", "3", ""),
        ("mismatches", "", "2", ""),
        ("first mismatch", "b/0", "32", "16"),
        ("largest mismatch", "c/0", "48", "0"),
    ]


def test_agreement_section_without_a_mismatch_names_nobody() -> None:
    same = observation([record("a", 0, 0), record("b", 1, 32), record("c", 2, 48)])
    assert [row[0] for row in agreement(same).rows] == ["requests compared", "mismatches"]


def test_agreement_section_is_left_out_without_a_second_engine() -> None:
    assert not agreement(observation(None)).rows
