"""Recognising formats: each one from its first records, and what is said of a file that is none."""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from cachelab.dataset import opening
from cachelab.dataset.auto import Auto
from cachelab.dataset.cached_dataset import CachedDataset
from cachelab.dataset.formats import FORMATS
from cachelab.dataset.opening import Opening
from cachelab.dataset.sample import Sample
from cachelab.errors import DatasetError

CALL = {"type": "n", "t": 0, "model": "m", "in": 9, "out": 1, "hash_ids": [1, 2]}
SESSION = {"id": "a", "block_size": 4, "hash_id_scope": "local", "requests": [CALL]}
MOONCAKE = {"timestamp": 0, "input_length": 1300, "output_length": 2, "hash_ids": [1, 2, 3]}
QWEN = {**MOONCAKE, "input_length": 40, "chat_id": 1, "parent_chat_id": -1, "type": "text", "turn": 1}
AIPERF = {"session_id": "a", **MOONCAKE}
TRACE = {"prompt": "a", "response": "b", "conversation_id": "c", "turn_index": 0, "timestamp": 0.0}
LOG = {"timestamp": 1_760_995_776_640_783, "session_id": "a", "input": "Hi", "output": "Hello"}
CHAT = {"id": "x", "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]}

TALK = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]


def lines(*rows: Any) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


SOURCES = {
    "claude_code": json.dumps(SESSION, indent=2),
    "claude_code lines": lines(SESSION, SESSION),
    "block_trace": lines(MOONCAKE, MOONCAKE),
    "block_trace qwen": lines(QWEN, {**QWEN, "chat_id": 2, "timestamp": 0.5}),
    "block_trace sessions": lines(AIPERF, {**AIPERF, "hash_ids": [4, 5, 6], "timestamp": 9}),
    "block_trace own": lines({**MOONCAKE, "block_size": 512, "chat_id": 0}),
    "trace": lines(TRACE, {**TRACE, "turn_index": 1}),
    "text_log": lines(LOG, LOG),
    "chat": lines({"messages": TALK}),
    "chat trajectories": json.dumps([{"task_id": 1, "traj": TALK}]),
    "chat history": json.dumps({"environment": "e", "history": TALK}),
    "chat gateway": lines({"request": {"body": {"messages": TALK[:1]}}, "response": TALK[1]}),
    "sharegpt": json.dumps([CHAT, {"id": "y", "conversations": []}]),
}


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_auto_recognises(tmp_path: Path, name: str, packed: bool) -> None:
    path = tmp_path / "file"
    text = SOURCES[name].encode()
    path.write_bytes(gzip.compress(text, mtime=0) if packed else text)
    loaded = Auto(path=str(path)).load()
    option = name.partition(" ")[0]
    assert loaded.name == option
    assert loaded.notes[0].startswith(f"{path}: read as dataset={option} (")
    assert "\n" not in loaded.notes[0]
    assert len(loaded.conversations) >= 1


def test_auto_reads_as_the_named_dataset_does(tmp_path: Path) -> None:
    for name, text in SOURCES.items():
        path = tmp_path / name
        path.write_text(text)
        format = next(format for format in FORMATS if format.option == name.partition(" ")[0])
        plain = format.build(str(path), Opening.of(str(path))).load()
        loaded = Auto(path=str(path)).load()
        assert (loaded.digest, loaded.counts, loaded.notes[1:]) == (plain.digest, plain.counts, tuple(plain.notes))


def test_auto_without_a_path_is_the_sample() -> None:
    loaded, sample = Auto().load(), Sample().load()
    assert (loaded.name, loaded.digest, loaded.notes) == ("sample", sample.digest, ())


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("claude_code", r"block ids without text.*engine\.rules=vllm engine\.block_size=4"),
        ("block_trace", r"as in Mooncake\).*engine\.block_size=512"),
        ("block_trace qwen", r"as in Qwen-Bailian\).*engine\.block_size=16"),
        ("block_trace sessions", r"AIPerf's sessions\): .*counted as vLLM does.*engine\.block_size=512"),
        ("trace", r"trace=multi_turn"),
        ("text_log", r"trace=multi_turn"),
        ("chat trajectories", r"rows with messages in the field traj\)$"),
        ("chat gateway", r"rows with messages in the field request\.body\.messages\)$"),
        ("sharegpt", r"conversations of from and value\)$"),
    ],
)
def test_auto_says_what_the_format_needs(tmp_path: Path, name: str, said: str) -> None:
    path = tmp_path / "file"
    path.write_text(SOURCES[name])
    assert re.search(said, Auto(path=str(path)).load().notes[0])


def test_auto_reads_seconds_of_qwen_bailian(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text(SOURCES["block_trace qwen"])
    turns = [turn for one in Auto(path=str(path)).load().conversations for turn in one.turns]
    assert [turn.timestamp_s for turn in turns] == [0.0, 0.5]


def test_auto_takes_a_folder_and_a_glob(tmp_path: Path) -> None:
    for folder, name, suffix in (("s", "claude_code", "json"), ("l", "text_log", "jsonl")):
        (tmp_path / folder).mkdir()
        for number in range(2):
            (tmp_path / folder / f"{number}.{suffix}").write_text(SOURCES[name])
        assert Auto(path=str(tmp_path / folder)).load().counts["turns"] == (2 if folder == "s" else 4)
        assert Auto(path=str(tmp_path / folder / f"1.{suffix}*")).load().name == name
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "a.jsonl").write_text(SOURCES["block_trace"])
    with pytest.raises(DatasetError, match=r"its first file .*a\.jsonl is of the format block_trace.*one file"):
        Auto(path=str(tmp_path / "m")).load()


BAD = [
    ("", r"the file is empty"),
    ("  \n ", r"the file is empty"),
    ("Hello, all of you\n", r"not recognised \(a table with the fields Hello, all of you\)"),
    ("Hello\n", r"not recognised \(neither JSON nor a table\)"),
    ("\u202e[", r"not recognised \(neither JSON nor a table\)"),
    ("{}", r"not recognised \(a JSON object\)"),
    ("[]", r"the array is empty"),
    ("[1, 2]", r"item 0 is a number, not an object"),
    (json.dumps({"a": 1, "b": 2}), r"not recognised \(a JSON object with the fields a, b\).*claude_code: .*sharegpt: "),
    (lines({"a": 1}, {"b": 2}), r"not recognised \(JSON Lines with the fields a, b\)"),
    (json.dumps([{"conversations": "x"}]), r"not recognised \(a JSON array with the fields conversations\)"),
    (json.dumps(SESSION)[:-5], r"cut off"),
    (json.dumps([CHAT])[:-2], r"cut off|not JSON"),
    ('{"input_length": }\n' + lines(MOONCAKE), r"not JSON .*line 1 column 18"),
    ("[" * 100_000, r"nested too deeply|cut off"),
    ("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16,4808,10\n", r"lengths \(ContextTokens, .*unknown"),
    ("Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n5,GPT,4,1,5,x\n", r"lengths \(Request"),
    (lines({"timestamp": 1, "input_length": 5, "output_length": 6}), r"lengths \(input_length, output_length\)"),
    (lines({**MOONCAKE, "input_length": 3, "hash_ids": [1]}), r"the block size \(16 and 32 .*dataset\.block_size"),
    (lines({**MOONCAKE, "input_length": 9000}), r"do not state the block size \(no usual one fits"),
    (lines({**MOONCAKE, "input_length": "9"}), r"field input_length is text"),
    (lines({**LOG, "input": [1]}), r"not recognised"),
    (lines({**MOONCAKE, "odd": 1}), r"dataset\.ignore_fields.* \(with dataset=block_trace dataset\.block_size=512: "),
]  # fmt: skip


@pytest.mark.parametrize(("text", "what"), BAD)
def test_auto_refuses_in_one_line(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "file"
    path.write_text(text)
    with pytest.raises(DatasetError, match=what) as caught:
        Auto(path=str(path)).load()
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"PAR1\x15\x04", r"Parquet"),
        (b"\xff\x00\x01", r"neither JSON nor"),
        (gzip.compress(b"{}" * 99, mtime=0)[:20], r"truncated"),
    ],
)
def test_auto_refuses_bytes_in_one_line(tmp_path: Path, data: bytes, what: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises(DatasetError, match=what):
        Auto(path=str(path)).load()


def test_auto_refuses_paths_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path, what in (
        ("absent.json", r"no such file"),
        ("empty", r"the folder holds no file that ends in \.json"),
        ("*.none", r"no file matches"),
        ("-", r"standard input can be read only once: name its format"),
    ):
        with pytest.raises(DatasetError, match=what):
            Auto(path=path if path == "-" else str(tmp_path / path)).load()


def test_opening_reads_no_more_than_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_text("[" + ", ".join([json.dumps(CHAT)] * 5_000) + ", and then nonsense")
    monkeypatch.setattr("cachelab.dataset.source_bytes.CHUNK_BYTES", 1 << 12)
    found = Opening.of(str(path))
    assert (found.layout, len(found.records)) == ("array", opening.RECORDS)
    monkeypatch.setattr(opening, "MAX_OPENING", 1 << 14)
    path.write_text('{"a": "' + "x" * (1 << 16))
    with pytest.raises(DatasetError, match="no whole record in the first"):
        Opening.of(str(path))


def test_auto_is_read_again_when_a_file_of_its_folder_changes(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(SOURCES["claude_code"])
    for source in (str(tmp_path), f"{tmp_path}/*.json"):
        assert CachedDataset(Auto(path=source)).load().counts["turns"] == 1
        path.write_text(json.dumps({**SESSION, "requests": [CALL, CALL]}))
        assert CachedDataset(Auto(path=source)).load().counts["turns"] == 2
        path.write_text(SOURCES["claude_code"])


@pytest.mark.parametrize(
    ("source", "option", "turns"),
    [("claude_code", "claude_code", 688), ("lmcache", "text_log", 274), ("aiperf_sessions.jsonl", "block_trace", 5)],
)
def test_auto_recognises_real_sources(agent_traces: Path, source: str, option: str, turns: int) -> None:
    loaded = Auto(path=str(agent_traces / source)).load()
    assert (loaded.name, loaded.counts["turns"]) == (option, turns)
