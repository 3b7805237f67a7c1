"""AIPerf's sessions in block traces: prompts that grow, local ids, and every way in which a session can be bad."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachelab.dataset.base import LoadedDataset
from cachelab.dataset.block_trace import BlockTrace
from cachelab.engine.replay import ReplayEngine
from cachelab.engine.sim import SimEngine
from cachelab.errors import ConfigError, DatasetError
from cachelab.export.trace_writer import block_trace_lines, write_lines
from cachelab.metrics.observation import Observation
from cachelab.order.by_arrival import ByArrival
from cachelab.order.timed import Timed
from cachelab.prefix_cache.request_blocks import seen_tokens
from cachelab.request import Request, Wait
from cachelab.trace.multi_turn import MultiTurn


def row(ids: Sequence[int], length: int, reply: int = 2, session: Any = "a", **fields: Any) -> dict[str, Any]:
    named = {} if session is None else {"session_id": session}
    return {**named, "input_length": length, "output_length": reply, "hash_ids": list(ids), **fields}


def write(path: Path, *rows: Any) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def load(path: str, **options: Any) -> LoadedDataset:
    return BlockTrace(path=path, block_size=4, **options).load()


def requests(loaded: LoadedDataset) -> list[Request]:
    return list(MultiTurn().build(loaded.conversations).requests)  # type: ignore[arg-type]


def cached(loaded: LoadedDataset, block_size: int = 4, **options: Any) -> list[int]:
    engine = ReplayEngine(block_size=block_size, max_model_len=None, num_blocks=5_000, **options)
    return [r.cached_tokens for r in engine.run(ByArrival().arrange(requests(loaded)), lambda ended: None).records]


def test_session_prompt_is_all_before_it_and_its_own_new_tokens(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", row([1, 2], 6, 3, timestamp=1000), row([7], 3, 1, delay=500.0))
    loaded = load(path)
    (conversation,) = loaded.conversations
    first, second = requests(loaded)
    tokens = second.prompt_ids.tolist()
    reply = first.reply_ids.tolist()
    assert first.prompt_ids.tolist() == [1, 1, 1, 1, 2, 2]
    assert tokens == [1, 1, 1, 1, 2, 2, *reply, 7, 7, 7]
    assert len(set(reply)) == 1
    assert not set(reply) & {1, 2, 7}
    assert (first.timestamp_s, second.timestamp_s) == (0.0, 0.5)
    assert [turn.think_s for turn in conversation.turns] == [None, 0.5]
    assert second.follows == first.id
    assert (loaded.counts["sessions"], loaded.counts["conversations"], loaded.counts["turns"]) == (1, 1, 2)
    # the blocks that the first request leaves: 8 tokens of 6 + 3 - 1
    assert cached(loaded) == [0, 8]


def test_sessions_may_lie_among_one_another_and_among_other_rows(tmp_path: Path) -> None:
    rows = [
        row([1], 4, session="a"),
        row([1], 4, session=5),
        row([8], 4, session=None),
        row([2], 4),
        row([3], 4, session=5),
    ]
    loaded = load(write(tmp_path / "t.jsonl", *rows))
    assert [len(conversation.turns) for conversation in loaded.conversations] == [2, 2, 1]
    assert [len(request.prompt_ids) for request in requests(loaded)] == [4, 10, 4, 10, 4]


def test_session_rows_may_list_whole_prompts(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", row([1], 4), row([1, 2], 8, delay=1))
    with pytest.raises(DatasetError, match=r"line 2: hash_ids starts with .*dataset\.session_rows=whole"):
        load(path)
    whole = load(path, session_rows="whole")
    assert [request.prompt_ids.tolist() for request in requests(whole)] == [[1] * 4, [1] * 4 + [2] * 4]
    assert cached(whole) == [0, 4]


def test_session_of_one_row_is_counted_by_the_rules_of_traces_as_well(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", row([1, 2], 8), row([1, 2], 8, session="b"))
    assert cached(load(path)) == [0, 8]  # the rules of traces: a prompt may be cached whole
    path = write(tmp_path / "t.jsonl", row([1, 2], 8), row([3], 4))
    with pytest.raises(ConfigError, match=r"engine\.rules=vllm"):
        cached(load(path), rules="trace")


def test_local_ids_belong_to_their_session_or_chat(tmp_path: Path) -> None:
    local: dict[str, Any] = {"hash_id_scope": "local"}
    path = write(
        tmp_path / "s.jsonl", *(row([1, 2], 8, session=name, **local) for name in "ab"), row([1, 2], 8, session="c")
    )
    assert cached(load(path), rules="vllm") == [0, 0, 0]
    chats = [
        row([1, 2], 8, session=None, chat_id=1, **local),
        row([1, 2, 3], 12, session=None, chat_id=2, parent_chat_id=1, **local),
        row([1, 2, 3, 4], 16, session=None, chat_id=3, parent_chat_id=2, **local),
        row([1, 2], 8, session=None, chat_id=4, **local),
    ]
    assert cached(load(write(tmp_path / "c.jsonl", *chats)), rules="vllm") == [0, 8, 12, 0]


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ([row([1], 4, delay=1)], r"line 1: field delay: this is its session's first row"),
        ([row([1], 4), row([2], 4, delay=-1)], r"line 2: field delay is -1"),
        ([row([1], 4), row([2], 4, delay="1")], r"line 2: field delay is text"),
        ([row([1], 4), row([2], 4, delay=True)], r"line 2: field delay is true or false"),
        ([row([1], 4, session=1.5)], r"line 1: field session_id is 1.5"),
        ([row([1], 4, session=["a"])], r"line 1: field session_id is an array"),
        ([row([1], 4, session=None, delay=5)], r"line 1: field delay is present without session_id"),
        ([row([1], 4, chat_id=1)], r"line 1: a row cannot have both session_id and chat_id"),
        ([row([1], 4, output_hash_ids=[9])], r"line 1: a row cannot have both session_id and output_hash_ids"),
        ([row([1], 4, session=None, hash_id_scope="local")], r"line 1: .*no session_id and no chat_id"),
        ([row([1], 4, hash_id_scope="file")], r"line 1: field hash_id_scope is 'file'"),
        ([row([1], 4, hash_id_scope=1)], r"line 1: field hash_id_scope is a number"),
        ([row([1], 4), row([2], 5, delay=1), row([3, 4, 5], 5, delay=1)], r"line 3: input_length 5 makes 2 blocks"),
        ([row([1], 4, timestamp=1), row([2], 4)], r"line 2: field timestamp is missing"),
        ([row([1], 4), row([2], 0, delay=1)], r"line 2: field input_length is 0"),
        ([row([1], 4), {"session_id": "a", "input_length": 4, "output_length": 1}], r"line 2: .*hash_ids is missing"),
        ([row([1], 4, text_input="Hi")], r"line 1: field text_input is not known"),
    ],
)  # fmt: skip
def test_bad_sessions_are_named(tmp_path: Path, rows: list[Any], what: str) -> None:
    path = write(tmp_path / "t.jsonl", *rows)
    with pytest.raises(DatasetError, match=what) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: line")
    assert "\n" not in str(caught.value)


def test_times_of_sessions_are_milliseconds(tmp_path: Path) -> None:
    rows = [
        row([1], 4, timestamp=500),
        row([2], 4, delay=100),
        row([3], 4, timestamp=9500),
        row([5], 4, session="b", timestamp=1500),
    ]
    made = requests(load(write(tmp_path / "t.jsonl", *rows)))
    assert [request.timestamp_s for request in made] == pytest.approx([0, 0.1, 9.0, 1.0])
    untimed = requests(load(write(tmp_path / "u.jsonl", row([1], 4), row([2], 4, delay=100), row([3], 4, session="b"))))
    assert [(request.arrival_s, request.think_s) for request in untimed] == [(None, None), (None, 0.1), (None, None)]
    with pytest.raises(ConfigError, match=r"2 of 2 have none"):
        Timed().arrange(untimed)
    assert Timed(start="uniform", rate=0.5).arrange(untimed).waits == {
        untimed[1].id: Wait(0, 100_000_000),
        untimed[2].id: Wait(2_000_000_000, 0),
    }
    qwen = [row([1], 4, session=None, chat_id=i, type="text", turn=1, timestamp=0.25 + i) for i in range(2)]
    made = requests(load(write(tmp_path / "q.jsonl", *qwen)))
    assert [request.timestamp_s for request in made] == [0.0, 1.0]


Steps = st.lists(
    st.tuples(
        st.sampled_from("ab"), st.lists(st.integers(0, 2), min_size=1, max_size=3), st.integers(0, 3), st.integers(0, 6)
    ),
    min_size=1,
    max_size=7,
)


@given(Steps, st.sampled_from([4, 2, 8, 3]), st.integers(0, 12))
def test_sessions_replay_as_vllm_runs_their_tokens(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Any], block_size: int, spare: int
) -> None:
    folder = tmp_path_factory.mktemp("t")
    rows: list[dict[str, Any]] = []
    started: dict[Any, Any] = {}
    for session, ids, short, reply in steps:
        if started.setdefault(session, ids[0]) == ids[0] and any(row["session_id"] == session for row in rows):
            ids = [ids[0] + 3, *ids[1:]]  # else it would look like a whole prompt
        rows.append(row(ids, 4 * len(ids) - short, reply, session))
    made = requests(load(write(folder / "t.jsonl", *rows)))
    sizes: dict[str, Any] = {
        "block_size": block_size,
        "max_model_len": None,
        "num_blocks": 130 // block_size + 2 + spare,
    }
    schedule = ByArrival().arrange(made)
    sim = SimEngine(max_num_seqs=1, **sizes).run(schedule, lambda ended: None)
    replay = ReplayEngine(rules="vllm", **sizes).run(schedule, lambda ended: None)
    assert replay.records == sim.records
    # the numbers of whole blocks say what the tokens say
    as_tokens = [_expanded(request) for request in made]
    plain = ReplayEngine(rules="vllm", **sizes).run(ByArrival().arrange(as_tokens), lambda ended: None)
    assert [record.cached_tokens for record in plain.records] == [record.cached_tokens for record in sim.records]
    Observation.of(made, replay)
    if block_size == 4:
        replies = [max(1, len(request.reply_ids)) for request in schedule]
        known = seen_tokens(list(schedule), replies, 4, "vllm")
        assert (known <= [len(request.prompt_ids) for request in schedule]).all()


def _expanded(request: Request) -> Request:
    from dataclasses import replace

    return replace(request, prompt_ids=np.asarray(request.prompt_ids), reply_ids=np.asarray(request.reply_ids))


def test_sessions_written_and_read_again_hit_the_same(tmp_path: Path) -> None:
    rows = [row([1, 2], 7, 6), row([3, 4], 6, 9, delay=1), row([1, 2], 8, 1, "b"), row([9], 3, 4, delay=2)]
    before = requests(load(write(tmp_path / "t.jsonl", *rows)))
    write_lines(tmp_path / "again.jsonl.gz", block_trace_lines(before))
    again = BlockTrace(path=str(tmp_path / "again.jsonl.gz")).load()
    assert [len(request.prompt_ids) for request in requests(again)] == [len(request.prompt_ids) for request in before]
    by_order = ReplayEngine(block_size=4, max_model_len=None, num_blocks=99, rules="vllm")
    hits = [
        [record.cached_tokens for record in by_order.run(ByArrival().arrange(made), lambda ended: None).records]
        for made in (before, requests(again))
    ]
    assert hits[0] == hits[1]
    assert sum(hits[0]) > 0


def test_real_sessions_of_aiperf(agent_traces: Path) -> None:
    loaded = BlockTrace(path=str(agent_traces / "aiperf_sessions.jsonl"), block_size=512).load()
    made = requests(loaded)
    assert sum(len(request.prompt_ids) for request in made) == 243_593
    engine = ReplayEngine(block_size=512, max_model_len=None, num_blocks=10_000)
    schedule = ByArrival().arrange(made)
    records = engine.run(schedule, lambda ended: None).records
    by_request = {record.request_id: record.cached_tokens for record in records}
    assert [by_request[request.id] for request in made] == [0, 42_496, 45_568, 10_240, 53_248]
    sim = SimEngine(block_size=512, max_model_len=None, max_num_seqs=1, num_blocks=10_000)
    assert sim.run(schedule, lambda ended: None).records == records
