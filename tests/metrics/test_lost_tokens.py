"""What each request and each conversation lost, and the requests that evicted it."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachelab.engine.replay import ReplayEngine
from cachelab.metrics.losses import TERMS, losses_of
from cachelab.metrics.lost_tokens import LOST, conversation_table, evicted_by, lost_columns
from cachelab.metrics.observation import Observation
from cachelab.metrics.requests import request_table
from cachelab.order.by_turn import ByTurn
from cachelab.request import RequestRecord
from workloads import random_requests

TOKENS = [f"{term}_tokens" for term in LOST]


def replayed(seed: int, spare: int, block_size: int = 4) -> Observation:
    requests = random_requests(seed, 20, vocabulary=4)
    engine = ReplayEngine(block_size=block_size, max_model_len=200, num_blocks=-(-200 // block_size) + 1 + spare)
    return Observation.of(requests, engine.run(ByTurn().arrange(requests), lambda ended: None))


def test_golden_run(golden: Observation) -> None:
    # The terms of tests/metrics/test_losses.py, in the order of the records; E0 was rejected.
    columns = lost_columns(golden)
    ids = [record.request_id for record in golden.records]
    assert dict(zip(ids, columns["other_tokens"], strict=True)) == {
        "A0": 0, "A1": 4, "A2": 0, "B0": 0, "B1": 0, "C0": 0, "C1": 0, "D0": 0, "D1": 4, "E0": None,
    }  # fmt: skip
    assert columns["evicted_by"] == [None] * 10  # not known: A2 and C1 ran at the same time
    assert conversation_table(golden)["conversation_id"] == ["A", "B", "D", "C"]
    assert conversation_table(golden)["requests"] == [3, 2, 2, 2]
    assert conversation_table(golden)["prompt_tokens"] == [51, 14, 10, 20]
    assert conversation_table(golden)["other_tokens"] == [4, 0, 4, 0]


@given(st.integers(0, 1000), st.sampled_from([0, 3, 10, 200]), st.sampled_from([1, 4, 8]))
@settings(deadline=None, max_examples=30)
def test_terms_sum_to_the_prompt_of_each_request_and_to_the_run(seed: int, spare: int, block_size: int) -> None:
    observation = replayed(seed, spare, block_size)
    table = request_table(observation)
    for row, record in enumerate(observation.records):
        if record.outcome == "rejected":
            assert {table[name][row] for name in TOKENS} == {None}
            continue
        assert table["cached_tokens"][row] + sum(table[name][row] for name in TOKENS) == table["prompt_tokens"][row]
    conversations = conversation_table(observation)
    for term in TERMS:
        assert sum(conversations[f"{term}_tokens"]) == getattr(losses_of(observation), term).sum()
    assert sum(conversations["prompt_tokens"]) == observation.prompt_tokens.sum()
    assert sum(conversations["requests"]) == len(observation.completed)


def test_the_request_that_evicted_by_hand(observe: Any) -> None:
    # Three slots. Each prompt has one full block and a fifth token, whose slot is blank again after the request. x and
    # y fill two slots. z takes the blank one, and x's for its fifth token: z evicts x. The second x takes the blank
    # slot, and y's for its fifth token: it evicts y.
    x, y, z = [1] * 4 + [9], [2] * 4 + [9], [3] * 4 + [9]
    observation = one_at_a_time(observe([x, y, z, x, y]), 3)
    ids = [record.request_id for record in observation.completed]
    assert evicted_by(observation) == [None, None, None, ids[2], ids[3]]


def one_at_a_time(observation: Observation, num_blocks: int) -> Observation:
    """The same requests one after another, a second each."""

    def placed(place: int, record: RequestRecord) -> RequestRecord:
        begin = place * 1_000_000_000
        return replace(
            record, submitted_ns=begin, first_scheduled_ns=begin, first_token_ns=begin + 1, finished_ns=begin + 2
        )

    records = [placed(place, record) for place, record in enumerate(observation.completed)]
    return replace(observation, records=records, counters=replace(observation.counters, num_blocks=num_blocks))


def test_evictors_are_unknown_where_requests_overlap_or_the_hits_are_others(observe: Any) -> None:
    x, y = [1] * 4 + [9], [2] * 4 + [9]
    alone = one_at_a_time(observe([x, y, x]), 3)
    late = [replace(alone.records[0], finished_ns=1_500_000_000), *alone.records[1:]]
    assert evicted_by(replace(alone, records=late)) == [None] * 3
    other = one_at_a_time(observe([x, y, x], [0, 0, 1]), 1)
    assert evicted_by(other) == [None] * 3


@pytest.mark.parametrize("spare", [0, 3, 10])
def test_lost_to_eviction_or_capacity_means_evicted_by_an_earlier_request(spare: int) -> None:
    observation = replayed(3, spare)
    by = evicted_by(observation)
    losses = losses_of(observation)
    order = {record.request_id: place for place, record in enumerate(observation.completed)}
    gone = losses.eviction + losses.capacity
    assert any(by)
    for place, evictor in enumerate(by):
        assert (evictor is not None) == (gone[place] > 0)
        if evictor is not None:
            assert order[evictor] < place


def test_without_prefix_caching_nothing_is_said(golden: Observation) -> None:
    off = replace(golden, counters=replace(golden.counters, queries_tokens=0))
    assert set(lost_columns(off)) == {*TOKENS, "evicted_by"}
    assert all(cell is None for column in lost_columns(off).values() for cell in column)
    assert conversation_table(off)["conversation_id"] == []
