"""Whose words the prompts repeat."""

import numpy as np
import pytest

from cachelab.engine.history import ClosedLoop, HistoryLost, RecordedReplies, history
from cachelab.engine.sim import SimEngine
from workloads import conversation, one_lane, request

# turn 0: prompt 1 2 3, recorded reply 10 11; turn 1 adds the message 4 5; turn 2, after the reply 12, the message 6
TURNS = conversation("a", ([1, 2, 3], [10, 11]), ([4, 5], [12]), ([6], [13]))


def test_history_recorded_and_forced_leave_prompts_alone() -> None:
    for name in ("recorded", "forced"):
        prompts = history(name)
        assert isinstance(prompts, RecordedReplies)
        assert prompts.prompt_ids(TURNS[1]).tolist() == [1, 2, 3, 10, 11, 4, 5]


def test_history_generated_carries_the_engines_tokens_over() -> None:
    loop = ClosedLoop()
    loop.note(TURNS[0], loop.prompt_ids(TURNS[0]), np.array([90, 91, 92]))
    second = loop.prompt_ids(TURNS[1])
    assert second.tolist() == [1, 2, 3, 90, 91, 92, 4, 5]
    loop.note(TURNS[1], second, np.array([93]))
    assert loop.prompt_ids(TURNS[2]).tolist() == [1, 2, 3, 90, 91, 92, 4, 5, 93, 6]


def test_history_generated_after_a_rejected_turn_is_lost() -> None:
    with pytest.raises(HistoryLost, match="a/0, was rejected"):
        ClosedLoop().prompt_ids(TURNS[1])


def test_history_generated_has_no_place_in_a_rewritten_prompt() -> None:
    loop = ClosedLoop()
    loop.note(TURNS[0], TURNS[0].prompt_ids, np.array([90]))
    rewritten = request("a", 1, [1, 2, 7, 10, 11, 4], [12], kept_tokens=2)
    with pytest.raises(HistoryLost, match="trace/prefix_breaks"):
        loop.prompt_ids(rewritten)


def test_driver_closed_loop_sends_shorter_prompts_after_shorter_replies() -> None:
    # replies are cut to 1 token: turn 1 is sent 3 + 1 + 2 = 6 tokens, turn 2 6 + 1 + 1 = 8
    engine = SimEngine(block_size=2, max_model_len=32, max_num_seqs=1, history="generated", max_output_tokens=1)
    run = engine.run(one_lane(TURNS), lambda ended: None)
    assert [record.prompt_tokens for record in run.records] == [3, 6, 8]
    assert run.requests is not None
    assert run.requests[2].prompt_ids.tolist() == [1, 2, 3, 10, 4, 5, 12, 6]
    # of turn 1's prompt, turn 0 left 1 2|3 -, one block; turn 1 leaves 1 2|3 10|4 5, and its reply's KV is not computed
    assert [record.cached_tokens for record in run.records] == [0, 2, 6]


def test_driver_closed_loop_rejects_all_turns_after_a_lost_one() -> None:
    turns = [TURNS[0], request("a", 1, [1, 2, 7, 10, 11, 4], [12], kept_tokens=2), TURNS[2]]
    engine = SimEngine(block_size=2, max_model_len=32, max_num_seqs=1, history="generated")
    records = engine.run(one_lane(turns), lambda ended: None).records
    assert [record.outcome for record in records] == ["completed", "rejected", "rejected"]
    assert "does not extend" in (records[1].reason or "")
    assert "a/1, was rejected" in (records[2].reason or "")
