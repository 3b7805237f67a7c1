"""Logs of finished prompts: what is read, and every way in which a file can be bad."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from cachelab.conversation import RecordedConversation
from cachelab.dataset.text_log import TextLog
from cachelab.engine.replay import ReplayEngine
from cachelab.engine.sim import SimEngine
from cachelab.errors import DatasetError
from cachelab.order.by_arrival import ByArrival
from cachelab.tokenizer.mistral import Mistral
from cachelab.trace.multi_turn import MultiTurn

GOOD = {"timestamp": 1_760_995_776_640_783, "session_id": "a", "input": "Hi", "output": "Hello"}


def write(path: Path, *rows: Any) -> str:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return str(path)


def row(seconds: float, session: Any = "a", prompt: str = "Hi", reply: str = "Hello", **fields: Any) -> dict[str, Any]:
    time = GOOD["timestamp"] + round(1e6 * seconds)  # type: ignore[operator]
    return {"timestamp": time, "session_id": session, "input": prompt, "output": reply, **fields}


def conversations(path: str, **options: Any) -> list[RecordedConversation]:
    return list(TextLog(path=path, **options).load().conversations)  # type: ignore[arg-type]


def test_text_log_reads_sessions_by_time(tmp_path: Path) -> None:
    path = write(
        tmp_path / "t.jsonl", row(3, prompt="third"), row(1, "b"), "", row(0, prompt="first"), row(1.5, reply="")
    )
    a, b = conversations(path)
    assert (a.id, b.id) == ("a", "b")
    assert [turn.prompt for turn in a.turns] == ["first", "Hi", "third"]
    assert [turn.timestamp_s for turn in a.turns] == pytest.approx([0, 1.5, 3])
    assert b.turns[0].timestamp_s == pytest.approx(1)
    counts = TextLog(path=path).load().counts
    assert counts == {
        "conversations": 2, "turns": 4, "reordered_turns": 3, "empty_prompts": 0, "turns_without_reply": 1,
        "skipped_files": 0, "ignored_fields": 0, "ignored_values": 0,
    }  # fmt: skip


def test_text_log_joins_the_files_of_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    write(folder / "1.jsonl", row(0), row(1, "b"))
    (folder / "2.jsonl.gz").write_bytes(gzip.compress(json.dumps(row(2)).encode()))
    (folder / "notes.txt").write_text("x")
    loaded = TextLog(path=str(folder)).load()
    assert [len(conversation.turns) for conversation in loaded.conversations] == [2, 1]
    assert loaded.counts["skipped_files"] == 1
    assert len(conversations(f"{folder}/*.gz")) == 1


@pytest.mark.parametrize(("unit", "seconds"), [("s", 2), ("ms", 2e-3), ("us", 2e-6)])
def test_text_log_reads_times_in_a_given_unit(tmp_path: Path, unit: Any, seconds: float) -> None:
    path = write(tmp_path / "t.jsonl", {**GOOD, "timestamp": 5}, {**GOOD, "timestamp": 7})
    (only,) = conversations(path, timestamp_unit=unit)
    assert [turn.timestamp_s for turn in only.turns] == pytest.approx([0, seconds])
    assert "as dataset.timestamp_unit says" in TextLog(path=path, timestamp_unit=unit).load().notes[0]
    with pytest.raises(DatasetError, match=r"line 1: field timestamp is 5, .*set dataset\.timestamp_unit to the unit"):
        TextLog(path=path).load()


@pytest.mark.parametrize(
    ("first", "second", "note"),
    [
        (1_760_995_776, 1_760_995_778, "numbers are seconds (recognised"),
        (1_760_995_776_640, 1_760_995_778_640, "numbers are milliseconds (recognised"),
        (1_760_995_776_640_783, 1_760_995_778_640_783, "numbers are microseconds (recognised"),
        ("2025-10-20T21:29:36Z", "2025-10-20T21:29:38Z", "times: 2 dates"),
    ],
)
def test_text_log_recognises_the_unit_and_names_it(tmp_path: Path, first: Any, second: Any, note: str) -> None:
    path = write(tmp_path / "t.jsonl", {**GOOD, "timestamp": second}, {**GOOD, "timestamp": first})
    loaded = TextLog(path=path).load()
    assert [turn.timestamp_s for turn in loaded.conversations[0].turns] == [0, 2]
    assert note in loaded.notes[0]


def test_text_log_without_times_keeps_the_order_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", row(3, prompt="first"), row(1, prompt="second"))
    (only,) = conversations(path, timestamp_unit="none")
    assert [(turn.prompt, turn.timestamp_s) for turn in only.turns] == [("first", None), ("second", None)]


BAD = [
    ({k: v for k, v in GOOD.items() if k != "input"}, r"field input is missing"),
    ({k: v for k, v in GOOD.items() if k != "timestamp"}, r"field timestamp is missing"),
    ({**GOOD, "input": None}, r"field input is null"),
    ({**GOOD, "input": [{"role": "user", "content": "a"}]}, r"field input is an array.*dataset=chat"),
    ({**GOOD, "input": 7}, r"field input is 7"),
    ({**GOOD, "output": None}, r"field output is null"),
    ({**GOOD, "output": {}}, r"field output is an object"),
    ({**GOOD, "session_id": ""}, r"field session_id is blank"),
    ({**GOOD, "session_id": None}, r"field session_id is null"),
    ({**GOOD, "session_id": 4}, r"field session_id is 4"),
    ({**GOOD, "timestamp": "now"}, r"field timestamp is 'now', not a time"),
    ({**GOOD, "timestamp": True}, r"field timestamp is true or false"),
    ({**GOOD, "timestamp": None}, r"field timestamp is null"),
    ('{"timestamp": NaN, "session_id": "a", "input": "", "output": ""}', r"field timestamp is NaN"),
    ({**GOOD, "input": "\ud800"}, r"field input holds half of a surrogate pair"),
    ({**GOOD, "cache_salt": "x"}, r"field 'cache_salt' is not known.*dataset\.ignore_fields"),
    ("[1]", r"is an array, not an object"),
    ('{"timestamp": 1, "inp', r"cut off"),
    ("not json", r"not JSON"),
    ('{"timestamp": 1, "timestamp": 2}', r"appears twice"),
]


@pytest.mark.parametrize(("bad", "what"), BAD)
def test_text_log_names_the_line_of_a_bad_row(tmp_path: Path, bad: Any, what: str) -> None:
    path = write(tmp_path / "t.jsonl", GOOD, "", bad)
    with pytest.raises(DatasetError, match=what) as caught:
        TextLog(path=path).load()
    assert f"{path}: line 3" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", r"the file is empty"),
        (b"\xff\xfe{}", r"not UTF-8"),
        (b"\x1f\x8b\x08nonsense", r"gzip file is (damaged|truncated)"),
        (b"Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n5,a,1,2,3,x\n", r"a trace of lengths"),
    ],
)  # fmt: skip
def test_text_log_refuses_bad_files(tmp_path: Path, data: bytes, what: str) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(data)
    with pytest.raises(DatasetError, match=what):
        TextLog(path=str(path)).load()
    with pytest.raises(DatasetError, match="more than 3 bytes"):
        TextLog(path=write(tmp_path / "u.jsonl", GOOD), max_bytes=3).load()


def test_text_log_ignores_fields_that_are_listed(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", {**GOOD, "note": 1}, GOOD)
    loaded = TextLog(path=path, ignore_fields=["note"]).load()
    assert (loaded.counts["ignored_fields"], loaded.counts["ignored_values"]) == (1, 1)


def test_text_log_simulated_as_replayed(tmp_path: Path) -> None:
    start = "You are an agent. " * 20
    rows = [
        row(0, prompt=start),
        row(1, prompt=f"{start}Hello. And then?", reply="That."),
        row(2, "b", prompt=start + "x"),
    ]
    tokenizer = Mistral()
    tokenized = [c.tokenized(tokenizer) for c in conversations(write(tmp_path / "t.jsonl", *rows))]
    schedule = ByArrival().arrange(MultiTurn().build(tokenized).requests)
    shared: dict[str, Any] = {"block_size": 8, "max_model_len": None, "num_blocks": 60}
    sim = SimEngine(max_num_seqs=1, **shared).run(schedule, lambda ended: None)
    replay = ReplayEngine(**shared).run(schedule, lambda ended: None)
    assert replay.records == sim.records
    assert [record.cached_tokens > 0 for record in sim.records] == [False, True, True]


def test_text_log_real_sessions(agent_traces: Path) -> None:
    loaded = TextLog(path=str(agent_traces / "lmcache")).load()
    assert (loaded.counts["turns"], loaded.counts["conversations"]) == (274, 12)
    listed = [json.loads(line) for file in (agent_traces / "lmcache").iterdir() for line in file.open()]
    read = {(c.id, turn.prompt, turn.response) for c in loaded.conversations for turn in c.turns}  # type: ignore[union-attr]
    assert read == {(row["session_id"], row["input"], row["output"]) for row in listed}
