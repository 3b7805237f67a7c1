"""Claude Code sessions: what is read, whose blocks they are, and every way in which a file can be bad."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachelab.dataset.base import LoadedDataset
from cachelab.dataset.claude_code import ClaudeCode
from cachelab.engine.replay import ReplayEngine
from cachelab.engine.sim import SimEngine
from cachelab.errors import DatasetError
from cachelab.order.by_arrival import ByArrival
from cachelab.request import Request, RequestRecord
from cachelab.trace.multi_turn import MultiTurn


def call(t: float, ids: Sequence[int], tokens: int | None = None, model: str = "opus", **fields: Any) -> dict[str, Any]:
    """A request whose blocks hold 4 tokens."""
    length = 4 * len(ids) + 1 if tokens is None else tokens
    return {"t": t, "type": "n", "model": model, "in": length, "out": 2, "hash_ids": list(ids), **fields}


def agent(t: float, *calls: Any, id: str = "agent_001", kind: str = "Explore", **fields: Any) -> dict[str, Any]:
    return {"t": t, "type": "subagent", "agent_id": id, "subagent_type": kind, "requests": list(calls), **fields}


def session(*requests: Any, id: str = "trace_1", **fields: Any) -> dict[str, Any]:
    head = {"id": id, "block_size": 4, "hash_id_scope": "local", "tool_tokens": 6, "system_tokens": 3}
    return {**head, "requests": list(requests), **fields}


def write(folder: Path, *sessions: Any) -> str:
    folder.mkdir(exist_ok=True)
    for index, value in enumerate(sessions):
        (folder / f"{index}.json").write_text(value if isinstance(value, str) else json.dumps(value))
    return str(folder)


def load(path: str, **options: Any) -> LoadedDataset:
    return ClaudeCode(path=path, **options).load()


def requests(loaded: LoadedDataset) -> list[Request]:
    return list(MultiTurn().build(loaded.conversations).requests)  # type: ignore[arg-type]


def replayed(loaded: LoadedDataset, rules: Any = "trace", block_size: int = 4) -> Sequence[RequestRecord]:
    engine = ReplayEngine(rules=rules, block_size=block_size, max_model_len=None, num_blocks=2_000_000)
    return engine.run(ByArrival().arrange(requests(loaded)), lambda ended: None).records


def hits(loaded: LoadedDataset) -> dict[str, int]:
    return {record.request_id: -(-record.cached_tokens // 4) for record in replayed(loaded)}


def test_claude_code_reads_requests_and_sub_agents(tmp_path: Path) -> None:
    inner = agent(5.0, call(0.0, [1, 9]), call(2.5, [1, 9, 10], think_time=0.5), tool_tokens=1, system_tokens=2)
    one = session(call(0.0, [1, 2]), call(3.0, [1, 2, 3], think_time=1.25), inner, call(20.0, [1, 2, 3, 4]))
    loaded = load(write(tmp_path / "s", one))
    assert [(c.id, len(c.turns)) for c in loaded.conversations] == [("trace_1", 3), ("trace_1/agent_001", 2)]
    main, sub = loaded.conversations
    assert [turn.timestamp_s for turn in main.turns] == [0.0, 3.0, 20.0]
    assert [turn.timestamp_s for turn in sub.turns] == [5.0, 7.5]
    assert [turn.think_s for turn in (*main.turns, *sub.turns)] == [None, 1.25, None, None, 0.5]
    assert [(len(r.prompt_ids), len(r.reply_ids)) for r in requests(loaded)][:2] == [(9, 2), (13, 2)]
    counts = {"conversations": 2, "turns": 5, "sessions": 1, "subagents": 1, "listed_blocks": 14, "distinct_blocks": 6}
    assert counts.items() <= dict(loaded.counts).items()
    # a sub-agent finds what its parent left: block 1
    assert hits(loaded) == {
        "trace_1/0": 0, "trace_1/1": 2, "trace_1/2": 3, "trace_1/agent_001/0": 1, "trace_1/agent_001/1": 2,
    }  # fmt: skip


def test_claude_code_takes_a_partial_last_block_listed_or_not(tmp_path: Path) -> None:
    one = session(call(0, [1, 2, 3], 9), call(1, [1, 2], 9), call(2, [1, 2], 8), call(3, [1, 2], 5))
    first, second, third, fourth = requests(load(write(tmp_path / "s", one)))
    numbers = first.prompt_ids.tolist()
    assert second.prompt_ids.tolist()[:8] == third.prompt_ids.tolist() == numbers[:8]
    assert second.prompt_ids.tolist()[8] != numbers[8]
    assert fourth.prompt_ids.tolist() == numbers[:5]


def test_claude_code_local_ids_belong_to_their_session(tmp_path: Path) -> None:
    path = write(tmp_path / "s", session(call(0, [1, 2])), session(call(1, [1, 2]), id="trace_2"))
    assert sum(hits(load(path)).values()) == 0
    path = write(tmp_path / "g", *(session(call(t, [1, 2]), id=f"s{t}", hash_id_scope="global") for t in (0, 1)))
    assert hits(load(path)) == {"s0/0": 0, "s1/0": 2}


def test_claude_code_block_of_another_model_is_another_block(tmp_path: Path) -> None:
    one = session(call(0, [1, 2]), call(1, [1, 2], model="haiku"), call(2, [1, 2, 3], model="haiku"))
    path = write(tmp_path / "s", one)
    assert hits(load(path)) == {"trace_1/0": 0, "trace_1/1": 0, "trace_1/2": 2}
    assert hits(load(path, share_models=True)) == {"trace_1/0": 0, "trace_1/1": 2, "trace_1/2": 2}
    both = (session(call(t, [1, 2], model=m), id=m, hash_id_scope="global") for t, m in enumerate("ab"))
    path = write(tmp_path / "g", *both)
    assert sum(hits(load(path)).values()) == 0
    assert sum(hits(load(path, share_models=True)).values()) == 2


def test_claude_code_shared_prefix(tmp_path: Path) -> None:
    # 9 tokens of tools and system prompt are 2 full blocks; 75 % of them one
    path = write(tmp_path / "s", session(call(0, [1, 2, 3])), session(call(1, [7, 8, 9]), id="trace_2"))
    assert hits(load(path))["trace_2/0"] == 0
    assert hits(load(path, shared_prefix="full"))["trace_2/0"] == 2
    assert hits(load(path, shared_prefix=0.75))["trace_2/0"] == 1
    assert load(path, shared_prefix=1).counts["shared_blocks"] == 4
    assert load(path, shared_prefix=0.75).counts["distinct_blocks"] == 5


def test_claude_code_shared_prefix_never_joins_two_ids_of_a_session(tmp_path: Path) -> None:
    start: dict[str, Any] = {"tool_tokens": 6, "system_tokens": 3}
    first, second = (agent(t, call(0, ids), id=f"a{t}", **start) for t, ids in ((1, [7, 2]), (2, [8, 9])))
    one = session(call(0, [1, 2]), first, second)
    other = session(call(50, [5, 6]), agent(60, call(0, [7, 8]), id="b", **start), id="trace_2")
    found = hits(load(write(tmp_path / "s", one, other), shared_prefix="full"))
    # in the session nothing more than its ids say; another session finds the main start, and a sub-agent's
    assert {id: found[id] for id in found if id.startswith("trace_1")} == dict.fromkeys(
        ("trace_1/0", "trace_1/a1/0", "trace_1/a2/0"), 0
    )
    assert found["trace_2/0"] == 2
    assert found["trace_2/b/0"] == 1  # 2 was the main agent's second block already, and stayed that


def test_claude_code_shared_prefix_is_per_model(tmp_path: Path) -> None:
    path = write(tmp_path / "s", session(call(0, [1, 2])), session(call(1, [1, 2], model="haiku"), id="trace_2"))
    assert sum(hits(load(path, shared_prefix="full")).values()) == 0
    assert sum(hits(load(path, shared_prefix="full", share_models=True)).values()) == 2


def test_claude_code_sorts_requests_by_time_and_counts(tmp_path: Path) -> None:
    loaded = load(write(tmp_path / "s", session(call(5, [1, 2]), call(0, [1]))))
    assert [turn.timestamp_s for turn in loaded.conversations[0].turns] == [0, 5]
    assert loaded.counts["reordered_turns"] == 2


def test_claude_code_names_sessions_apart_and_counts_empty_ones(tmp_path: Path) -> None:
    path = write(tmp_path / "s", session(call(0, [1])), session(call(0, [1])), session(id="none"))
    loaded = load(path)
    assert [c.id for c in loaded.conversations] == ["trace_1", "trace_1 (2)"]
    assert (loaded.counts["duplicate_ids"], loaded.counts["agents_without_requests"]) == (1, 1)
    others = (
        session(call(0, [1]), id="trace_1 (2)"),
        session(agent(0, call(0, [1]), id="x")),
        session(call(0, [1]), id="trace_1/x"),
    )
    names = [c.id for c in load(write(tmp_path / "t", session(call(0, [1])), *others)).conversations]
    assert len(set(names)) == len(names) == 4


def test_claude_code_reads_lines_arrays_gzip_folders_and_globs(tmp_path: Path) -> None:
    sessions = [session(call(0, [1, 2]), id=f"s{i}") for i in range(3)]
    (tmp_path / "lines.jsonl").write_text("\n".join(map(json.dumps, sessions)) + "\n")
    (tmp_path / "array.json").write_text(json.dumps(sessions, indent=1))
    (tmp_path / "lines.jsonl.gz").write_bytes(gzip.compress((tmp_path / "lines.jsonl").read_bytes()))
    folder = write(tmp_path / "s", *sessions)
    (tmp_path / "s" / "README.md").write_text("about")
    whole = [len(load(str(tmp_path / name)).conversations) for name in ("lines.jsonl", "array.json", "lines.jsonl.gz")]
    assert whole == [3, 3, 3]
    assert load(folder).counts["skipped_files"] == 1
    assert [c.id for c in load(f"{folder}/[01].json").conversations] == ["s0", "s1"]
    assert load(f"{folder}/0.json").digest != load(f"{folder}/1.json").digest
    assert load(folder).digest == load(folder).digest


GOOD = session(call(0, [1, 2]), call(1, [1, 2, 3]))


def changed(**fields: Any) -> dict[str, Any]:
    """A session with one changed request; None leaves a field out."""
    second = {key: value for key, value in {**call(1, [1, 2, 3]), **fields}.items() if value != "left out"}
    return session(call(0, [1, 2]), second)


BAD = [
    (changed(hash_ids=[1]), r"requests\[1\]: 13 tokens \(in\) fill 3 blocks of 4, hash_ids has 1"),
    (changed(hash_ids=[1, 2, 3, 4, 5]), r"hash_ids has 5"),
    (changed(hash_ids=[1, -2, 3]), r"requests\[1\]: field hash_ids\[1\] is -2"),
    (changed(hash_ids=[1, True, 3]), r"hash_ids\[1\] is true or false"),
    (changed(hash_ids=[1, 2**63, 3]), r"hash_ids\[1\] is 9223372036854775808"),
    (changed(hash_ids="1"), r"field hash_ids is text, not an array"),
    (changed(hash_ids="left out"), r"field hash_ids is missing"),
    (changed(**{"in": 0}), r"field in is 0"),
    (changed(**{"in": 13.0}), r"field in is 13.0"),
    (changed(out=-1), r"field out is -1"),
    (changed(out=None), r"field out is null"),
    (changed(t="0"), r"field t is text"),
    (changed(t=-1.0), r"field t is -1.0"),
    (changed(model=None), r"field model is null"),
    (changed(model=" "), r"field model is blank"),
    (changed(type="x"), r"field type is 'x'"),
    (changed(type="left out"), r"field type is missing"),
    (changed(think_time="soon"), r"field think_time is text"),
    (session("request"), r"requests\[0\] is text, not a request"),
    (session(agent(0, call(0, [1, 2, 3, 4], 9))), r"requests\[0\]\.requests\[0\]: 9 tokens"),
    (session(agent(0, agent_id=None)), r"requests\[0\]: field agent_id is null"),
    (session(agent(0), agent(1)), r"requests\[1\]: field agent_id: the session already has a sub-agent 'agent_001'"),
    (session(block_size=0), r"field block_size is 0"),
    (session(requests={}), r"field requests is an object"),
    (session(id=""), r"field id is blank"),
    (session(hash_id_scope="file"), r"field hash_id_scope is 'file'"),
    (session(tool_tokens="many"), r"field tool_tokens is text"),
    ({"id": "a", "requests": []}, r"field block_size is missing"),
]  # fmt: skip


@pytest.mark.parametrize(("bad", "what"), BAD)
def test_claude_code_names_the_place_of_a_fault(tmp_path: Path, bad: Any, what: str) -> None:
    path = write(tmp_path / "s", GOOD, bad)
    with pytest.raises(DatasetError, match=what) as caught:
        load(path)
    assert str(tmp_path / "s" / "1.json") in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("bad", "what"), BAD)
def test_claude_code_skips_and_counts_bad_sessions(tmp_path: Path, bad: Any, what: str) -> None:
    loaded = load(write(tmp_path / "s", bad, GOOD), on_bad_session="skip")
    assert (loaded.counts["bad_sessions"], loaded.counts["turns"]) == (1, 2)


@pytest.mark.parametrize("policy", ["error", "skip"])
def test_claude_code_stops_at_a_field_that_it_does_not_know(tmp_path: Path, policy: Any) -> None:
    for bad in (changed(cache_salt="a"), session(cache_salt="a"), session(agent(0, cache_salt="a"))):
        path = write(tmp_path / "s", bad)
        with pytest.raises(DatasetError, match=r"field 'cache_salt' is not known.*dataset\.ignore_fields"):
            load(path, on_bad_session=policy)
    loaded = load(write(tmp_path / "s", changed(cache_salt="a")), ignore_fields=["cache_salt"])
    assert loaded.counts["ignored_fields"] == 1
    assert "cache_salt (1)" in loaded.notes[0]


@pytest.mark.parametrize(
    ("files", "options", "what"),
    [
        ([GOOD, "{"], {}, r"1\.json: line 1: the JSON is cut off at line 1 column 2"),
        ([GOOD, "not json"], {}, r"1\.json: line 1 column 1: not JSON"),
        ([GOOD, "[1]"], {}, r"1\.json: item 0 is a number, not an object"),
        ([GOOD, '"a"'], {}, r"1\.json: line 1 is not an object"),
        ([GOOD, json.dumps(GOOD) + '\n{"id"'], {}, r"1\.json: line 2 column 6"),
        ([GOOD, ""], {}, r"1\.json: the file is empty"),
        ([GOOD, "TIMESTAMP,ContextTokens,GeneratedTokens\n1,2,3\n"], {}, r"a trace of lengths \(ContextTokens, Gen"),
        ([GOOD, session(block_size=8)], {}, r"1\.json: line 1: block_size is 8, but it was 4"),
        ([{k: v for k, v in GOOD.items() if k != "hash_id_scope"}], {}, r"hash_id_scope is missing.*dataset\.hash_id"),
        ([session(call(0, [1]), hash_id_scope="global")], {"shared_prefix": "full"}, r"its ids are global"),
        ([session(call(0, [1]), tool_tokens=None)], {"shared_prefix": "full"}, r"no tool_tokens and system_tokens"),
        ([session()], {}, r"its sessions have no requests"),
        (["{}"], {"on_bad_session": "skip"}, r"none of its 1 sessions is usable"),
        ([], {}, r"the folder holds no file that ends in \.json"),
    ],
)  # fmt: skip
def test_claude_code_refuses_bad_files(tmp_path: Path, files: list[Any], options: Any, what: str) -> None:
    path = write(tmp_path / "s", *files)
    with pytest.raises(DatasetError, match=what) as caught:
        load(path, **options)
    assert "\n" not in str(caught.value)


def test_claude_code_takes_a_scope_for_sessions_that_name_none(tmp_path: Path) -> None:
    path = write(tmp_path / "s", *(session(call(t, [1]), id=f"s{t}", hash_id_scope=None) for t in (0, 1)))
    assert sum(hits(load(path, hash_id_scope="local")).values()) == 0
    assert sum(hits(load(path, hash_id_scope="global")).values()) == 1


def test_claude_code_refuses_a_share_that_is_none() -> None:
    for share in (0, 1.5, "some"):
        with pytest.raises(ValueError, match="shared_prefix"):
            ClaudeCode(path="x", shared_prefix=share)  # type: ignore[arg-type]


Prompts = st.lists(
    st.tuples(st.lists(st.integers(0, 2), max_size=4), st.integers(1, 3), st.sampled_from("ab"), st.integers(0, 1)),
    min_size=1,
    max_size=10,
)


@given(Prompts, st.booleans())
def test_claude_code_hits_what_an_endless_cache_of_prefixes_does(
    tmp_path_factory: pytest.TempPathFactory, prompts: list[Any], share: bool
) -> None:
    sessions: list[list[Any]] = [[], []]
    seen: set[Any] = set()
    expected: list[int] = []
    for at, (ids, rest, model, place) in enumerate(prompts):
        sessions[place].append(call(at, ids, 4 * len(ids) + rest, model))
        paths = [(place, None if share else model, tuple(ids[: n + 1])) for n in range(len(ids))]
        expected.append(next((n for n, path in enumerate(paths) if path not in seen), len(paths)))
        seen.update(paths)
    path = write(tmp_path_factory.mktemp("s") / "s", *(session(*of, id=f"s{i}") for i, of in enumerate(sessions) if of))
    records = replayed(load(path, share_models=share))
    assert [record.cached_tokens // 4 for record in records] == expected


def test_claude_code_simulated_as_replayed(tmp_path: Path) -> None:
    inner = agent(5.0, call(0.0, [1, 9]), call(2.5, [1, 9, 10]))
    one = session(call(0.0, [1, 2], 11), call(3.0, [1, 2, 3]), inner, call(20.0, [1, 2, 3, 4], model="haiku"))
    schedule = ByArrival().arrange(requests(load(write(tmp_path / "s", one, session(call(1, [1]), id="b")))))
    for size in (4, 2, 8):
        shared: dict[str, Any] = {"block_size": size, "max_model_len": None, "num_blocks": 12}
        sim = SimEngine(max_num_seqs=1, **shared).run(schedule, lambda ended: None)
        replay = ReplayEngine(rules="vllm", **shared).run(schedule, lambda ended: None)
        assert replay.records == sim.records


def test_claude_code_real_sessions(agent_traces: Path) -> None:
    loaded = load(str(agent_traces / "claude_code"))
    counted = (loaded.counts["turns"], loaded.counts["sessions"], loaded.counts["subagents"])
    assert (*counted, loaded.counts["listed_blocks"]) == (688, 31, 4, 702_708)
    records = replayed(loaded, block_size=64)
    assert sum(-(-record.cached_tokens // 64) for record in records) == 654_029
    records = replayed(loaded, "vllm", 64)
    assert sum(record.cached_tokens for record in records) == 41_857_856
    assert sum(record.prompt_tokens for record in records) == 44_995_450
    shared = replayed(load(str(agent_traces / "claude_code"), share_models=True), block_size=64)
    assert sum(-(-record.cached_tokens // 64) for record in shared) == 654_145


def test_claude_code_real_sessions_of_one_cache_but_for_one(agent_traces: Path, tmp_path: Path) -> None:
    for file in (agent_traces / "claude_code").glob("*.json"):
        if file.name != "trace_0277.json":
            (tmp_path / file.name).symlink_to(file)
    records = replayed(load(str(tmp_path), share_models=True), "vllm", 64)
    assert len(records) == 635
    assert sum(record.cached_tokens for record in records) == 39_616_384
    assert sum(record.prompt_tokens for record in records) == 42_419_040


def test_claude_code_real_sessions_with_a_shared_start(agent_traces: Path) -> None:
    # Worked anew on the raw files: an id that stands in the first so many places of its agent's first long prompt is
    # named by the agent's kind and the place, any other by its file.
    folder = agent_traces / "claude_code"
    seen: set[Any] = set()
    found = 0
    for path in sorted(folder.glob("*.json")):
        document = json.loads(path.read_text())
        agents = [("main", document, 0.0)]
        agents += [(one["subagent_type"], one, one["t"]) for one in document["requests"] if "requests" in one]
        names: dict[Any, Any] = {}
        calls: list[Any] = []
        for kind, of, start in agents:
            blocks = int(0.75 * (of["tool_tokens"] + of["system_tokens"])) // 64
            own = [one for one in of["requests"] if "requests" not in one]
            for model in {one["model"] for one in own}:
                long = [one for one in own if one["model"] == model and len(one["hash_ids"]) >= blocks]
                for place, id in enumerate(long[0]["hash_ids"][:blocks]) if long else ():
                    if (kind, model, place) not in names.values():
                        names.setdefault((model, id), (kind, model, place))
            calls += [(start + one["t"], one) for one in own]
        for _, one in sorted(calls, key=lambda pair: pair[0]):
            chain = [names.get((one["model"], id), (path.name, one["model"], id)) for id in one["hash_ids"]]
            known = [name in seen for name in chain]
            found += known.index(False) if False in known else len(known)
            seen.update(chain)
    records = replayed(load(str(folder), shared_prefix=0.75), block_size=64)
    assert sum(-(-record.cached_tokens // 64) for record in records) == found


def test_claude_code_a_real_session_simulated_as_replayed(agent_traces: Path) -> None:
    # the smallest real session of all: three requests
    loaded = load(str(agent_traces / "claude_code" / "trace_0026.json"))
    schedule = ByArrival().arrange(requests(loaded))
    shared: dict[str, Any] = {"block_size": 64, "max_model_len": None, "num_blocks": 1_000}
    sim = SimEngine(max_num_seqs=1, **shared).run(schedule, lambda ended: None)
    replay = ReplayEngine(rules="vllm", **shared).run(schedule, lambda ended: None)
    assert replay.records == sim.records
    assert sum(record.cached_tokens for record in sim.records) > 0
    assert np.asarray(requests(loaded)[0].prompt_ids).dtype == np.int32
