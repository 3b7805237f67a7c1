"""The waterfall: its terms one by one, and that they sum to the prompts on every run."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachelab.engine.base import EngineCounters
from cachelab.engine.kv_layout import KvGroup, KvLayout
from cachelab.engine.replay import ReplayEngine
from cachelab.metrics.losses import METRICS, TERMS, losses_of, losses_table
from cachelab.metrics.observation import Observation
from cachelab.order.by_turn import ByTurn
from cachelab.prefix_cache.request_blocks import seen_tokens
from workloads import random_requests, request

Tokens = st.lists(st.integers(0, 1), min_size=1, max_size=12)


def terms(observation: Observation) -> dict[str, list[int]]:
    losses = losses_of(observation)
    return {term: getattr(losses, term).tolist() for term in TERMS}


def with_blocks(observation: Observation, num_blocks: int) -> Observation:
    return replace(observation, counters=replace(observation.counters, num_blocks=num_blocks))


def test_losses_of_the_golden_run(golden: Observation) -> None:
    # worked by hand in docs/metrics.md; in the order of first prefills: A0 B0 A1 D0 B1 C0 A2 C1 D1
    assert terms(golden) == {
        "reused": [0, 4, 8, 0, 4, 4, 20, 8, 0],
        "routing": [0] * 9,
        "never_seen": [9, 2, 6, 3, 2, 0, 4, 3, 2],
        "block_rounding": [0, 0, 0, 0, 2, 0, 0, 1, 1],
        "last_token": [0, 0, 0, 0, 0, 4, 0, 0, 0],
        "in_flight": [0] * 9,
        "other": [0, 0, 4, 0, 0, 0, 0, 0, 4],
        "layout": [0] * 9,
        "expired": [0] * 9,
        "eviction": [0] * 9,
        "capacity": [0] * 9,
    }


def test_losses_in_flight_when_the_earlier_request_had_not_finished(golden: Observation) -> None:
    # A1's third block ends in A0's reply (15 | 16 17 18): had A0 finished after A1 was scheduled (2.0 s), it was not
    # there yet. The same for D1's block, whose 64 is D0's reply.
    late = {"A0": 2.1, "D0": 9.5}
    records = [
        replace(record, finished_ns=round(late[record.request_id] * 1e9)) if record.request_id in late else record
        for record in golden.records
    ]
    found = terms(replace(golden, records=records))
    assert found["in_flight"] == [0, 0, 4, 0, 0, 0, 0, 0, 4]
    assert found["other"] == [0] * 9


def test_losses_to_eviction_and_to_capacity(observe: Any) -> None:
    # One block a prompt and a ninth token; x y z x y x with two slots (and one for the tail: three blocks). LRU hits
    # nothing of the second x (y, z since); the optimum keeps x and y and lets z pass: x, y hit. With x y z x y z it
    # cannot keep three: z is lost even then.
    x, y, z = [1] * 4 + [9], [2] * 4 + [9], [3] * 4 + [9]
    found = terms(with_blocks(observe([x, y, z, x, y, z]), 2))
    assert found["eviction"] == [0, 0, 0, 4, 4, 0]
    assert found["capacity"] == [0, 0, 0, 0, 0, 4]
    assert found["reused"] == [0] * 6
    assert found["never_seen"] == [5, 5, 5, 0, 0, 0]
    assert found["block_rounding"] == [0, 0, 0, 1, 1, 1]


def test_losses_table_sums_by_turn(golden: Observation) -> None:
    table = losses_table(golden)
    assert table["turn_index"] == [0, 1, 2]
    assert table["other_tokens"] == [0, 8, 0]
    tokens = [sum(table[f"{term}_tokens"][turn] for term in TERMS) for turn in range(3)]
    assert tokens == [9 + 6 + 3 + 8, 18 + 8 + 12 + 7, 24]


def test_losses_to_the_layout(golden: Observation) -> None:
    # The same run with hits in steps of 8 tokens: twelve pool blocks of 8 tokens, in which full-attention layers alone
    # have 24 blocks of 4. That is what they hit (all that the ideal hits) and the run did not.
    windows = KvGroup("window", 2, 8, 64, window=5)
    layout = KvLayout((KvGroup("full", 1, 8, 64), windows), 64, 12, 8, 32, 52, plain_block_size=4)
    counters = replace(golden.counters, layout=layout, block_size=8)
    cached = [record.cached_tokens // 8 * 8 for record in golden.records]
    records = [replace(record, cached_tokens=hit) for record, hit in zip(golden.records, cached, strict=True)]
    observation = replace(golden, counters=counters, records=records)
    assert observation.plain_blocks == 24
    assert observation.full_blocks.tolist() == [1, 0, 2, 0, 1, 1, 3, 1, 0]
    assert observation.hit_blocks.tolist() == [0, 0, 1, 0, 0, 0, 2, 1, 0]
    found = terms(observation)
    assert found["reused"] == [0, 0, 8, 0, 0, 0, 16, 8, 0]
    assert found["layout"] == [0, 4, 4, 0, 4, 4, 4, 0, 4]
    assert found["never_seen"] == [9, 2, 6, 3, 2, 0, 4, 3, 2]
    assert not any(found["other"])
    assert_sums(observation)


def assert_sums(observation: Observation) -> None:
    losses = losses_of(observation)
    columns = [getattr(losses, term) for term in TERMS]
    assert sum(columns).tolist() == observation.prompt_tokens.tolist()
    assert min(int(column.min(initial=0)) for column in columns) == 0
    shares = [metric.compute(observation) for metric in METRICS]
    assert sum(share or 0.0 for share in shares) == pytest.approx(1.0)


@given(st.lists(st.tuples(Tokens, Tokens), min_size=1, max_size=10), st.data(), st.integers(1, 3), st.integers(0, 30))
@settings(deadline=None)
def test_losses_sum_to_the_prompts_whatever_was_hit(
    observe: Any, pairs: list[tuple[list[int], list[int]]], data: st.DataObject, block_size: int, num_blocks: int
) -> None:
    prompts, replies = [prompt for prompt, _ in pairs], [reply for _, reply in pairs]
    hits = [data.draw(st.integers(0, len(prompt) // block_size)) for prompt in prompts]
    assert_sums(with_blocks(observe(prompts, hits, replies, block_size=block_size), num_blocks))


@pytest.mark.parametrize("block_size", [4, 8, 16])
@pytest.mark.parametrize("spare", [0, 10, 200])
def test_losses_of_replayed_chats(block_size: int, spare: int) -> None:
    requests = random_requests(17, 20, vocabulary=4)
    engine = ReplayEngine(block_size=block_size, max_model_len=200, num_blocks=-(-200 // block_size) + 1 + spare)
    observation = Observation.of(requests, engine.run(ByTurn().arrange(requests), lambda ended: None))
    assert_sums(observation)
    found = terms(observation)
    assert not any(found["other"])
    assert not any(found["in_flight"])


def test_losses_of_a_run_without_requests() -> None:
    observation = Observation({}, [], EngineCounters("simulated", 4, 10, 0, 0.0, 0, 0, 0, 0))
    assert [metric.compute(observation) for metric in METRICS] == [None] * len(TERMS)


def longest_by_trying(prompts: Sequence[list[int]], replies: Sequence[list[int]]) -> list[int]:
    computed = [prompt + reply[:-1] for prompt, reply in zip(prompts, replies, strict=True)]
    found = []
    for index, prompt in enumerate(prompts):
        shared = [0]
        for earlier in computed[:index]:
            same = 0
            while same < min(len(prompt), len(earlier)) and prompt[same] == earlier[same]:
                same += 1
            shared.append(same)
        found.append(max(shared))
    return found


@given(st.lists(st.tuples(Tokens, Tokens), max_size=12))
@settings(deadline=None)
def test_seen_tokens_against_every_earlier_sequence(pairs: list[tuple[list[int], list[int]]]) -> None:
    prompts, replies = [prompt for prompt, _ in pairs], [reply for _, reply in pairs]
    requests = [request(f"c{index}", 0, *pair) for index, pair in enumerate(pairs)]
    seen = seen_tokens(requests, [len(reply) for reply in replies], 4, "vllm")
    assert seen.tolist() == longest_by_trying(prompts, replies)
    assert seen.dtype == np.int64


def test_losses_to_routing_are_what_another_replica_held(golden: Observation) -> None:
    # The other replica held three blocks of A1, its own two, and D1's only full block, its own none.
    assert golden.placement is not None
    held = dict(zip((record.request_id for record in golden.records), golden.placement.elsewhere_tokens, strict=True))
    held |= {"A1": 12, "D1": 4}
    placement = replace(golden.placement, elsewhere_tokens=tuple(held.values()))
    found = terms(replace(golden, placement=placement))
    assert found["routing"] == [0, 0, 4, 0, 0, 0, 0, 0, 4]
    assert found["other"] == [0] * 9
    assert np.asarray([*found.values()]).sum(axis=0).tolist() == golden.prompt_tokens.tolist()
