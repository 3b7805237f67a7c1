"""The replay engine against vLLM's own scheduler, record by record, and against numbers worked by hand."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachelab.dataset.sharegpt import ShareGPT
from cachelab.engine.base import EngineRun
from cachelab.engine.replay import ReplayEngine
from cachelab.engine.sim import SimEngine
from cachelab.errors import ConfigError
from cachelab.filter.thresholds import Thresholds
from cachelab.message import Isolation
from cachelab.order.all_at_once import AllAtOnce
from cachelab.order.base import Order
from cachelab.order.by_conversation import ByConversation
from cachelab.order.by_turn import ByTurn
from cachelab.order.sessions import Sessions
from cachelab.request import Request, Schedule
from cachelab.tokenizer.cached_tokenizer import CachedTokenizer
from cachelab.tokenizer.mistral import Mistral
from cachelab.trace.multi_turn import MultiTurn
from cachelab.trace.single_turn import SingleTurn
from workloads import ISOLATIONS, conversation, isolated, one_lane, random_requests, request

ORDERS: Sequence[Order] = [ByConversation(), AllAtOnce(), ByTurn(), Sessions(num_users=3)]


def run(engine: ReplayEngine | SimEngine, schedule: Schedule) -> EngineRun:
    return engine.run(schedule, lambda ended: None)


def assert_equal_to_sim(schedule: Schedule, **shared: Any) -> EngineRun:
    sim = run(SimEngine(max_num_seqs=1, **shared), schedule)
    replay = run(ReplayEngine(**shared), schedule)
    assert replay.records == sim.records
    assert replay.counters == sim.counters
    return replay


def repeated(requests: Sequence[Request], times: int) -> list[Request]:
    """The same chats again and again under other names: whole prompts and replies are computed twice."""
    return [
        dataclasses.replace(
            entry,
            id=f"{copy}.{entry.id}",
            conversation_id=f"{copy}.{entry.conversation_id}",
            follows=f"{copy}.{entry.follows}" if entry.follows else None,
        )
        for copy in range(times)
        for entry in requests
    ]


@given(
    seed=st.integers(0, 10**6),
    block_size=st.sampled_from([1, 3, 8, 16, 32]),
    spare=st.integers(0, 80),
    batched=st.sampled_from([7, 64, 8192]),
    vocabulary=st.sampled_from([1, 2, 50]),
    times=st.integers(1, 3),
    order=st.sampled_from(ORDERS),
    isolate=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_replay_gives_the_records_of_sim(
    seed: int, block_size: int, spare: int, batched: int, vocabulary: int, times: int, order: Order, isolate: bool
) -> None:
    requests = repeated(random_requests(seed, 5, vocabulary=vocabulary), times)
    if isolate:
        requests = isolated(requests, seed)
    assert_equal_to_sim(
        order.arrange(requests),
        block_size=block_size,
        max_model_len=160,
        num_blocks=-(-160 // block_size) + 1 + spare,
        max_num_batched_tokens=batched,
    )


def test_replay_gives_the_records_of_sim_at_every_capacity() -> None:
    schedule = ByTurn().arrange(repeated(random_requests(11, 4, vocabulary=3), 2))
    needed = 200 // 8 + 1
    hits = [
        assert_equal_to_sim(schedule, block_size=8, max_model_len=200, num_blocks=needed + spare).counters.hits_tokens
        or 0
        for spare in range(0, 60, 4)
    ]
    assert hits[0] < hits[-1]


@pytest.mark.slow
@pytest.mark.parametrize("block_size", [8, 16, 32])
def test_replay_gives_the_records_of_sim_on_real_conversations(real_sharegpt: object, block_size: int) -> None:
    dataset = ShareGPT(path=str(real_sharegpt), repo_id="-", filename="-", revision=None).load()
    kept = Thresholds().apply(CachedTokenizer(Mistral())(dataset)).kept
    assert len(kept) == 694  # six of the 700 hold no human message
    multi_turn, single_turn = MultiTurn().build(kept).requests, SingleTurn().build(kept).requests
    capacity = 4096 // block_size + 1
    assert_equal_to_sim(
        ByConversation().arrange(multi_turn), block_size=block_size, max_model_len=4096, num_blocks=capacity
    )
    assert_equal_to_sim(
        AllAtOnce().arrange(single_turn), block_size=block_size, max_model_len=4096, num_blocks=4 * capacity
    )


def test_replay_worked_by_hand() -> None:
    # 5 usable blocks of 4. a: 8 prompt + 3 reply - 1 = 10 tokens: 2 full blocks and a tail, whose slot it gives back
    # blank. b takes 3: the blank one, the 2 never used; a's 2 blocks stay. a again: at most 7 of 8 tokens: 1 block.
    engine = ReplayEngine(block_size=4, max_model_len=20, num_blocks=6)
    a, b = request("a", 0, range(8), [1, 2, 3]), request("b", 0, range(100, 108), [1, 2, 3])
    again = dataclasses.replace(a, id="a2/0", conversation_id="a2")
    result = run(engine, one_lane([a, b, again]))
    assert [record.cached_tokens for record in result.records] == [0, 0, 4]
    assert result.counters.kv_usage_max == pytest.approx(3 / 5)
    # b of 12 prompt tokens takes 4: the deepest of a's blocks goes first, its first block is hit again.
    longer = request("b", 0, range(100, 112), [1, 2, 3])
    result = run(engine, one_lane([a, longer, again]))
    assert [record.cached_tokens for record in result.records] == [0, 0, 4]
    longest = request("b", 0, range(100, 116), [1, 2, 3])
    result = run(engine, one_lane([a, longest, again]))
    assert [record.cached_tokens for record in result.records] == [0, 0, 0]


@pytest.mark.parametrize("first", ISOLATIONS)
@pytest.mark.parametrize("second", ISOLATIONS)
def test_equal_prompts_share_blocks_only_with_equal_isolation(
    first: Isolation | None, second: Isolation | None
) -> None:
    prompt = list(range(9))
    requests = [
        dataclasses.replace(request(name, 0, prompt, [1]), isolation=isolation and dataclasses.replace(isolation))
        for name, isolation in (("a", first), ("b", second))
    ]
    found = assert_equal_to_sim(one_lane(requests), block_size=4, max_model_len=16, num_blocks=10)
    assert [record.cached_tokens for record in found.records] == [0, 8 if first == second else 0]


def test_replay_of_an_empty_schedule_has_no_records() -> None:
    result = run(ReplayEngine(), Schedule(()))
    assert (result.records, result.counters.steps, result.counters.kv_usage_max) == ([], 0, 0.0)


def test_replay_with_too_few_blocks_names_the_setting_and_the_way_out() -> None:
    schedule = one_lane(conversation("a", (range(6), range(5))))
    with pytest.raises(ConfigError, match=r"engine\.num_blocks: 16 blocks .* >= 17 .* engine\.max_model_len <= 60"):
        run(ReplayEngine(block_size=4, max_model_len=64, num_blocks=16), schedule)


def test_replay_of_text_under_the_rules_of_traces_is_refused() -> None:
    schedule = one_lane(conversation("a", (range(6), range(5))))
    with pytest.raises(ConfigError, match=r"engine\.rules: trace .* dataset=block_trace"):
        run(ReplayEngine(rules="trace"), schedule)


def test_replay_of_several_requests_at_once_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"engine\.max_num_seqs: 8, .* engine=sim"):
        ReplayEngine(max_num_seqs=8)


def test_replay_runs_sim_at_the_sizes_of_sim_at() -> None:
    schedule = ByConversation().arrange(random_requests(3, 8, vocabulary=4))
    engine = ReplayEngine(block_size=8, max_model_len=200, num_blocks=40, sim_at=[26, 60])
    result = run(engine, schedule)
    assert [other.counters.num_blocks for other in result.comparison_runs] == [25, 59]
    for other in result.comparison_runs:
        alone = ReplayEngine(block_size=8, max_model_len=200, num_blocks=(other.counters.num_blocks or 0) + 1)
        assert run(alone, schedule).records == other.records


def test_replay_and_sim_take_the_longest_request_for_max_model_len() -> None:
    requests = [*conversation("a", ([1] * 50, [2] * 9)), *conversation("b", ([3] * 20, [4] * 5), ([5] * 60, [6]))]
    schedule = one_lane(requests)
    for num_blocks, rejected in ((40, []), (16, ["b/1"])):  # 15 blocks of 4 hold a/0, not the 85 tokens of b/1
        run = assert_equal_to_sim(schedule, block_size=4, num_blocks=num_blocks, max_model_len=None)
        assert [record.request_id for record in run.records if record.outcome == "rejected"] == rejected
