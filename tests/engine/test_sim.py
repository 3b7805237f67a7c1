"""The simulator against numbers worked by hand, and against itself fed another way."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachelab.engine.base import EngineRun
from cachelab.engine.sim import SimEngine
from cachelab.engine.step_cost import StepCost
from cachelab.errors import ConfigError, EngineError
from cachelab.order.all_at_once import AllAtOnce
from cachelab.order.by_conversation import ByConversation
from cachelab.request import Request, Schedule
from workloads import conversation, one_lane, random_requests, request


def sim(**settings: object) -> SimEngine:
    defaults: dict[str, object] = {"block_size": 4, "max_model_len": 64, "max_num_seqs": 1, "num_blocks": 100}
    return SimEngine(**(defaults | settings))  # type: ignore[arg-type]


def run(engine: SimEngine, schedule: Schedule) -> EngineRun:
    return engine.run(schedule, lambda ended: None)


def cached(result: EngineRun) -> list[int]:
    return [record.cached_tokens for record in result.records]


def test_sim_reuses_prompt_and_reply_of_the_turn_before() -> None:
    # turn 0: 6 prompt + 5 reply tokens, of which the last one's KV is never computed: 10 tokens = 2 full blocks of 4
    # turn 1: 13 prompt tokens: those 2 blocks hit (8 tokens); + 4 reply - 1 = 16 tokens = 4 full blocks
    # turn 2: 20 prompt tokens: 4 blocks hit (16 tokens)
    turns = conversation("a", (range(6), range(10, 15)), ([20, 21], range(30, 34)), ([40, 41, 42], [50]))
    assert [len(turn.prompt_ids) for turn in turns] == [6, 13, 20]
    assert cached(run(sim(), one_lane(turns))) == [0, 8, 16]


def test_sim_recomputes_the_last_token_of_a_fully_cached_prompt() -> None:
    # 8 tokens = 2 full blocks; the same prompt again may reuse at most 7 tokens, that is 1 block
    twice = [request("a", 0, range(8), [9]), request("b", 0, range(8), [9])]
    assert cached(run(sim(), one_lane(twice))) == [0, 4]


def test_sim_evicts_the_least_recently_used_blocks() -> None:
    # 5 usable blocks of 4; a needs 3 (8 prompt + 3 reply - 1 = 10 tokens), b as many: b takes the 2 blocks never used
    # and the head of the free queue, which is the tail of a (freed tail first). a again: its 2 prompt blocks are left,
    # of which the last token's may not be reused: 4 tokens.
    engine = sim(max_model_len=20, num_blocks=6)
    a, b = request("a", 0, range(8), [1, 2, 3]), request("b", 0, range(100, 108), [1, 2, 3])
    again = dataclasses.replace(a, id="a2/0", conversation_id="a2")
    assert cached(run(engine, one_lane([a, b, again]))) == [0, 0, 4]
    # with room for one request only, nothing of a is left when b has run
    assert cached(run(sim(max_model_len=12, num_blocks=4), one_lane([a, b, again]))) == [0, 0, 0]


def test_sim_without_prefix_caching_hits_nothing() -> None:
    turns = conversation("a", (range(6), range(10, 15)), ([20, 21], range(30, 34)))
    assert cached(run(sim(enable_prefix_caching=False), one_lane(turns))) == [0, 0]


def test_sim_clock_adds_up_the_cost_of_each_step() -> None:
    # cost: 10 s a step + 1 s a prefill token + 2 s a decoding sequence
    # prefill of 6 tokens: 10 + 6 = 16 s -> first token; 2 more tokens: 2 x (10 + 2) = 24 s -> end at 40 s
    engine = sim(cost=StepCost(step_s=10.0, prefill_token_s=1.0, decode_sequence_s=2.0))
    (record,) = run(engine, one_lane([request("a", 0, range(6), [1, 2, 3])])).records
    assert (record.submitted_ns, record.first_scheduled_ns) == (0, 0)
    assert record.first_token_ns == 16 * 10**9
    assert record.finished_ns == 40 * 10**9


def test_sim_clock_runs_sequences_of_a_step_side_by_side() -> None:
    # both prefills in one step: 10 + 6 + 2 = 18 s; then one decode step for two sequences: 10 + 2 x 2 = 14 s
    engine = sim(max_num_seqs=2, cost=StepCost(step_s=10.0, prefill_token_s=1.0, decode_sequence_s=2.0))
    both = [request("a", 0, range(6), [1, 2]), request("b", 0, [9, 9], [1, 2])]
    result = run(engine, AllAtOnce().arrange(both))
    assert [record.first_token_ns for record in result.records] == [18 * 10**9] * 2
    assert [record.finished_ns for record in result.records] == [32 * 10**9] * 2


def test_sim_cuts_a_reply_that_does_not_fit_and_counts_it() -> None:
    sent = request("a", 0, range(10), range(5))
    result = run(sim(max_model_len=12), one_lane([sent]))
    (record,) = result.records
    assert (record.outcome, record.reply_tokens, record.reply_tokens_cut) == ("completed", 2, 3)
    assert result.requests is not None
    assert result.requests[0].reply_ids.tolist() == [0, 1]
    assert np.shares_memory(result.requests[0].reply_ids, sent.reply_ids)  # else all tokens would be copied for it


def test_sim_takes_the_longest_prompt_that_leaves_one_token() -> None:
    requests = [request("a", 0, range(11), [1]), request("b", 0, range(12), [1])]
    assert [record.outcome for record in run(sim(max_model_len=12), one_lane(requests)).records] == [
        "completed",
        "rejected",
    ]


def test_sim_preempts_when_blocks_run_out_and_keeps_the_first_prefill() -> None:
    # two sequences of up to 32 tokens (8 blocks of 4) in 9 usable blocks: the second one must give way
    engine = sim(max_model_len=32, max_num_seqs=2, num_blocks=10)
    both = [request("a", 0, range(12), range(16)), request("b", 0, range(50, 62), range(16))]
    result = run(engine, AllAtOnce().arrange(both))
    assert [record.preemptions > 0 for record in result.records] == [False, True]
    assert [record.reply_tokens for record in result.records] == [16, 16]
    assert cached(result) == [0, 0]
    assert (result.counters.preempted_queries_tokens or 0) > 0
    assert result.counters.queries_tokens == 24


def test_sim_chunked_prefill_gives_the_same_blocks() -> None:
    requests = random_requests(3, 6)
    whole = run(sim(max_model_len=512, num_blocks=140), one_lane(requests))
    chunked = run(sim(max_model_len=512, num_blocks=140, max_num_batched_tokens=16), one_lane(requests))
    assert cached(chunked) == cached(whole)
    assert (chunked.counters.steps or 0) > (whole.counters.steps or 0) > 0


@given(
    seed=st.integers(0, 10**6),
    block_size=st.sampled_from([1, 3, 8, 16]),
    spare=st.integers(0, 60),
    batched=st.sampled_from([7, 64, 8192]),
)
@settings(max_examples=40, deadline=None)
def test_sim_jump_gives_the_records_of_token_by_token(seed: int, block_size: int, spare: int, batched: int) -> None:
    requests = random_requests(seed, 6)
    shared = {
        "block_size": block_size,
        "max_model_len": 200,
        "num_blocks": -(-200 // block_size) + 1 + spare,
        "max_num_batched_tokens": batched,
    }
    schedule = ByConversation().arrange(requests)
    token = run(sim(decode="token", **shared), schedule)
    jump = run(sim(decode="jump", **shared), schedule)
    assert jump.records == token.records
    assert dataclasses.replace(jump.counters, steps=0) == dataclasses.replace(token.counters, steps=0)


def test_sim_decode_auto_jumps_with_one_sequence_only() -> None:
    schedule = one_lane([request("a", 0, range(4), range(20))])
    # jump: a prefill, the reply, that is 2 steps; token by token: a prefill and 19 decodes
    assert run(sim(decode="auto"), schedule).counters.steps == 2
    assert run(sim(decode="auto", max_num_seqs=2), schedule).counters.steps == 20


def test_sim_of_an_empty_schedule_has_no_records() -> None:
    assert run(sim(), Schedule(())).records == []


def test_sim_after_another_sim_starts_cold() -> None:
    turn = [request("a", 0, range(8), [9])]
    assert cached(run(sim(), one_lane(turn))) == cached(run(sim(), one_lane(turn))) == [0]


def test_sim_with_too_few_blocks_names_the_setting_and_the_way_out() -> None:
    # 64 tokens / 4 = 16 blocks + the null block
    with pytest.raises(ConfigError, match=r"engine\.num_blocks: 16 blocks .* >= 17 .* engine\.max_model_len <= 60"):
        sim(num_blocks=16)
    assert sim(num_blocks=17).num_blocks == 17


@pytest.mark.parametrize("setting", ["block_size", "max_model_len", "max_num_seqs", "num_blocks"])
@pytest.mark.parametrize("value", [0, -1, "many", 1.5])
def test_sim_with_a_bad_number_is_refused(setting: str, value: object) -> None:
    with pytest.raises(ValueError, match=setting):
        sim(**{setting: value})


def test_sim_jump_with_many_sequences_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"engine\.decode"):
        sim(decode="jump", max_num_seqs=2)


def test_sim_passes_args_to_vllm_and_refuses_unknown_ones() -> None:
    schedule = one_lane([request("a", 0, range(8), [9])] * 1)
    assert run(sim(args={"scheduling_policy": "priority"}), schedule).records[0].outcome == "completed"
    with pytest.raises(EngineError, match=r"engine\.args\.no_such_field"):
        run(sim(args={"no_such_field": 1}), schedule)


def test_sim_refused_by_vllm_says_so_in_one_line() -> None:
    with pytest.raises(EngineError, match="refuses these arguments") as caught:
        run(sim(args={"scheduling_policy": "no such policy"}), one_lane([request("a", 0, range(8), [9])]))
    assert "\n" not in str(caught.value)


def test_sim_serves_equal_priorities_in_order_of_submission() -> None:
    # vLLM's priority queue tells equals apart by arrival, then by name: the names here run against the order
    named = [request(name, 0, [*range(8), number], [1, 2]) for number, name in enumerate("zyxw")]
    engine = sim(max_num_seqs=1, args={"scheduling_policy": "priority"})
    result = run(engine, AllAtOnce().arrange(named))
    assert [record.prefill_index for record in result.records] == [0, 1, 2, 3]
    assert cached(result) == [0, 8, 8, 8]


def test_sim_rejects_an_empty_prompt() -> None:
    result = run(sim(), one_lane([request("a", 0, [], [1]), request("b", 0, range(4), [1])]))
    assert [record.outcome for record in result.records] == ["rejected", "completed"]
    assert result.records[0].reason == "prompt of 0 tokens: there is nothing to prefill"


def test_sim_answers_same_prefix_requests_of_one_step() -> None:
    # b is scheduled in the step that prefills a: a's block is already in the cache's index, and b shares it
    same: list[Request] = [request("a", 0, range(9), [1, 2]), request("b", 0, range(9), [3, 4])]
    result = run(sim(max_num_seqs=2), AllAtOnce().arrange(same))
    assert cached(result) == [0, 8]
