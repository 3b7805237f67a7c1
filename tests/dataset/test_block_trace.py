"""Block traces: what is read, how blocks become tokens, and every way in which a file can be bad."""

import dataclasses
import gzip
import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachelab.dataset import block_reader, source_bytes
from cachelab.dataset.block_chunk import BlockChunk
from cachelab.dataset.block_columns import read_block_columns
from cachelab.dataset.block_fields import without_ignored
from cachelab.dataset.block_reader import BlockReader
from cachelab.dataset.block_row import BlockRow, row_object
from cachelab.dataset.block_trace import BlockTrace
from cachelab.dataset.id_names import IdNames
from cachelab.engine.replay import ReplayEngine
from cachelab.engine.sim import SimEngine
from cachelab.errors import ConfigError, DatasetError
from cachelab.export.trace_writer import block_trace_lines, write_lines
from cachelab.order.by_arrival import ByArrival
from cachelab.order.timed import Timed
from cachelab.request import Request
from cachelab.trace.multi_turn import MultiTurn

GOOD = {"timestamp": 0, "input_length": 9, "output_length": 2, "hash_ids": [1, 2, 3]}


def write(path: Path, *rows: Any) -> str:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return str(path)


def requests(path: str, block_size: int | None = 4, **options: Any) -> list[Request]:
    loaded = BlockTrace(path=path, block_size=block_size, **options).load()
    return list(MultiTurn().build(loaded.conversations).requests)  # type: ignore[arg-type]


def test_block_trace_makes_tokens_of_blocks(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", GOOD, {**GOOD, "hash_ids": [1, 2, 4], "timestamp": 1500})
    first, second = requests(path)
    assert np.asarray(first.prompt_ids).tolist() == [1, 1, 1, 1, 2, 2, 2, 2, 3]
    assert np.asarray(second.prompt_ids).tolist() == [1, 1, 1, 1, 2, 2, 2, 2, 4]
    assert (len(first.prompt_ids), len(first.reply_ids)) == (9, 2)
    # replies have tokens of their own: neither a block of the trace nor another reply's
    replies = {*first.reply_ids.tolist(), *second.reply_ids.tolist()}
    assert len(replies) == 2
    assert not replies & {1, 2, 3, 4}
    assert (first.timestamp_s, second.timestamp_s) == (0.0, 1.5)


def test_block_trace_reads_a_slice_of_tokens_as_of_the_array(tmp_path: Path) -> None:
    (only,) = requests(write(tmp_path / "t.jsonl", GOOD))
    array = np.asarray(only.prompt_ids)
    for key in (slice(0, 3), slice(5, None), slice(None, -2), slice(2, 2), slice(None, None, 2), slice(None, None, -1)):
        assert only.prompt_ids[key].tolist() == array[key].tolist()
    assert list(only.prompt_ids) == array.tolist()


@pytest.mark.parametrize(
    "ids", [[2**63, 2**64 - 1, 7], ["a", "b", "7"], [10**12, 5, 10**15]], ids=["uint64", "text", "sparse"]
)
def test_block_trace_takes_any_ids(tmp_path: Path, ids: list[Any]) -> None:
    path = write(tmp_path / "t.jsonl", {**GOOD, "hash_ids": ids}, {**GOOD, "hash_ids": [*ids[:2], ids[0]]})
    columns = read_block_columns(path, 4)
    a, b, c, d, e, f = columns.ids.tolist()
    assert (a, b, a) == (d, e, f)
    assert len({a, b, c}) == 3
    assert columns.counts["distinct_blocks"] == columns.num_ids == 3


def test_block_trace_row_wins_over_the_option(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", {**GOOD, "block_size": 3}, {**GOOD, "block_size": 3})
    assert read_block_columns(path, 512).block_size == 3
    assert read_block_columns(path, None).block_size == 3


def test_block_trace_may_leave_out_the_last_partial_block(tmp_path: Path) -> None:
    (only,) = requests(write(tmp_path / "t.jsonl", {**GOOD, "hash_ids": [1, 2]}))
    tokens = only.prompt_ids.tolist()
    assert tokens[:8] == [1, 1, 1, 1, 2, 2, 2, 2]
    assert tokens[8] not in (1, 2)


def test_block_trace_groups_chats(tmp_path: Path) -> None:
    rows = [
        {**GOOD, "chat_id": 10, "parent_chat_id": -1, "turn": 1},
        {**GOOD, "chat_id": 11, "parent_chat_id": -1},
        {**GOOD, "chat_id": 12, "parent_chat_id": 10},
        {**GOOD, "chat_id": 13, "parent_chat_id": 10},  # 12 has continued it already
        {**GOOD, "chat_id": 14, "parent_chat_id": 99},  # not in the file
        {**GOOD, "chat_id": 15, "parent_chat_id": 12},
        GOOD,  # names no chat: that of the others is not forgotten for it
        {**GOOD, "chat_id": 15},
    ]
    loaded = BlockTrace(path=write(tmp_path / "t.jsonl", *rows), block_size=4).load()
    assert [len(conversation.turns) for conversation in loaded.conversations] == [3, 1, 1, 1, 1, 1]
    assert (loaded.counts["branches"], loaded.counts["missing_parents"], loaded.counts["duplicate_chats"]) == (1, 1, 1)
    made = MultiTurn().build(loaded.conversations).requests  # type: ignore[arg-type]
    assert made[2].follows == made[1].id


BAD = [
    ({**GOOD, "input_length": 17}, r"input_length 17 makes 5 blocks of 4 tokens, hash_ids has 3"),
    ({**GOOD, "input_length": 40, "hash_ids": [1, 2, 3]}, r"block_size 16 would fit: set dataset\.block_size=16"),
    ({**GOOD, "input_length": -9}, r"input_length is -9"),
    ({**GOOD, "input_length": 0, "hash_ids": []}, r"input_length is 0"),
    ({**GOOD, "input_length": "9"}, r"input_length is text"),
    ({**GOOD, "output_length": None}, r"output_length is null"),
    ({**GOOD, "output_length": 2**40}, r"output_length is 1099511627776"),
    ({**GOOD, "hash_ids": [1, -2, 3]}, r"hash_ids\[1\] is -2"),
    ({**GOOD, "hash_ids": [1, 2.5, 3]}, r"hash_ids\[1\] is 2.5"),
    ({**GOOD, "hash_ids": [1, None, 3]}, r"hash_ids\[1\] is null"),
    ({**GOOD, "hash_ids": [1, 2**64, 3]}, r"hash_ids\[1\] is 18446744073709551616"),
    ({**GOOD, "hash_ids": "1 2 3"}, r"hash_ids is text"),
    ({"input_length": 9, "output_length": 2}, r"field hash_ids is missing"),
    ({**GOOD, "hash_ids": {"a": 1}}, r"hash_ids is an object"),
    (
        {**GOOD, "input_length": 10**20},
        r"input_length is 100000000000000000000, not a whole number from 1 to 16777215",
    ),
    ({**GOOD, "input_length": 10**99}, r"input_length is 10{56}\.\.\., not a whole number"),
    ({**GOOD, "output_length": 2**31 - 1}, r"output_length is 2147483647, not a whole number from 0 to 16777215"),
    ({**GOOD, "output_length": 1.5}, r"output_length is 1.5, not a whole number"),
    ({**GOOD, "timestamp": "now"}, r"timestamp is text"),
    ({**GOOD, "timestamp": None}, r"timestamp is null"),
    (
        {**GOOD, "timestamp": float("nan")},
        r"timestamp is NaN, not a number of milliseconds or seconds of at most 2\^53",
    ),
    ({**GOOD, "timestamp": float("-inf")}, r"timestamp is -Infinity"),
    ({**GOOD, "timestamp": 1e300}, r"timestamp is 1e\+300"),
    ({**GOOD, "timestamp": 1719824400000000000}, r"timestamp is 1719824400000000000"),
    ({key: value for key, value in GOOD.items() if key != "timestamp"}, r"is missing, but earlier rows have one"),
    ({**GOOD, "block_size": 1 << 21}, r"block_size is 2097152, not a whole number from 1 to 1048576"),
    (json.dumps(GOOD)[:-1] + ', "timestamp": 9}', r"line 3: key 'timestamp' appears twice in one object"),
    (json.dumps(GOOD)[:-1] + ', "type": {"a": 1, "a": 1}}', r"line 3: key 'a' appears twice in one object"),
    ("[" * 100_000, r"nested too deeply"),
    ({**GOOD, "block_size": 8}, r"block_size is 8, but it was 4"),
    ({**GOOD, "output_hash_ids": [1, 2, 3]}, r"output_hash_ids has 3"),
    ({**GOOD, "chat_id": [1]}, r"chat_id is an array"),
    ({**GOOD, "chat_id": 1, "parent_chat_id": 2.5}, r"parent_chat_id is 2\.5, not a whole number or text"),
    ("[1, 2]", r"is an array, not an object"),
    ('{"input_length": 9, "outp', r"line 3 column 21: the JSON is cut off"),
    ('  {"input_length": 9, "outp', r"line 3 column 23: the JSON is cut off"),
    ("not json", r"not JSON"),
]


@pytest.mark.parametrize(("row", "what"), BAD)
def test_block_trace_names_the_line_of_a_bad_row(tmp_path: Path, row: Any, what: str) -> None:
    path = write(tmp_path / "t.jsonl", GOOD, "", row, GOOD)
    with pytest.raises(DatasetError, match=what) as caught:
        read_block_columns(path, 4)
    assert f"{path}: line 3" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("row", "what"), BAD)
def test_block_trace_skips_and_counts_bad_rows(tmp_path: Path, row: Any, what: str) -> None:
    columns = read_block_columns(write(tmp_path / "t.jsonl", GOOD, row, GOOD), 4, "skip")
    assert (columns.counts["bad_rows"], columns.counts["rows"], len(columns.ids)) == (1, 2, 6)


CHAT = {**GOOD, "chat_id": 1}
BAILIAN = {**CHAT, "parent_chat_id": -1, "type": "text", "turn": 1}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("text_input", "hello"), ("model", "m"), ("cache_salt", "s"), ("lora_name", "l"), ("delay", 3.5),
        ("hash_id_scope", "local"), ("hash_id_scope", 1),
    ],
)  # fmt: skip
def test_block_trace_stops_at_a_field_that_may_change_what_a_row_means(tmp_path: Path, field: str, value: Any) -> None:
    path = write(tmp_path / "t.jsonl", GOOD, {**GOOD, field: value}, {**GOOD, field: value, "timestamp": 1})
    for on_bad_row in ("error", "skip"):  # it is no bad row: no row of such a file is understood
        with pytest.raises(DatasetError, match=rf"line 2: field {field} is") as caught:
            BlockTrace(path=path, block_size=4, on_bad_row=on_bad_row).load()
        assert "\n" not in str(caught.value)
    loaded = BlockTrace(path=path, block_size=4, ignore_fields=[field]).load()
    assert (loaded.counts["turns"], loaded.counts["bad_rows"]) == (3, 0)
    assert (loaded.counts["ignored_fields"], loaded.counts["ignored_values"]) == (1, 2)
    assert loaded.notes[-1] == f"fields of the dataset that were not read (how often): {field} (2)"


def test_block_trace_names_all_fields_to_ignore(tmp_path: Path) -> None:
    row = {"model": "a", "input_length": 9, "output_length": 2, "hash_ids": [1, 2, 3], "lora": 3.5}
    path = write(tmp_path / "t.jsonl", row)
    with pytest.raises(DatasetError, match=r"line 1: fields lora, model are .*ignore_fields=\[lora,model\]"):
        read_block_columns(path, 4)
    assert read_block_columns(path, 4, ignore_fields=["lora", "model"]).counts["rows"] == 1


def test_block_trace_takes_what_is_harmless(tmp_path: Path) -> None:
    row = {**GOOD, "type": "text", "turn": 1, "request_id": "r", "hash_id_scope": "global"}
    columns = read_block_columns(write(tmp_path / "t.jsonl", row), 4)
    assert (columns.counts["rows"], columns.counts["ignored_fields"]) == (1, 0)


def test_block_trace_ignores_a_field_that_it_knows(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", CHAT, {**GOOD, "chat_id": 2, "parent_chat_id": 1, "timestamp": 5})
    loaded = BlockTrace(path=path, block_size=4, ignore_fields=["chat_id", "parent_chat_id"]).load()
    assert (len(loaded.conversations), loaded.counts["ignored_values"]) == (2, 3)
    with pytest.raises(ConfigError, match=r"^dataset\.ignore_fields: hash_ids is needed"):
        BlockTrace(path=path, ignore_fields=["hash_ids"])


@pytest.mark.parametrize(
    ("row", "given", "second"),
    [
        (GOOD, None, 0.005), (GOOD, "s", 5.0), (BAILIAN, None, 5.0), (BAILIAN, "ms", 0.005),
        ({**CHAT, "turn": 1}, None, 5.0), ({**CHAT, "block_size": 4}, None, 0.005), (CHAT, "s", 5.0),
    ],
)  # fmt: skip
def test_block_trace_reads_times_in_the_unit_of_the_format(
    tmp_path: Path, row: dict[str, Any], given: Any, second: float
) -> None:
    path = write(tmp_path / "t.jsonl", {**row, "timestamp": 10}, {**row, "timestamp": 15.0})
    loaded = BlockTrace(path=path, block_size=4, timestamp_unit=given).load()
    assert [turn.timestamp_s for one in loaded.conversations for turn in one.turns] == [0.0, second]
    assert f" are read in {'s' if second == 5.0 else 'ms'} (" in loaded.notes[0]


@pytest.mark.parametrize("other", [CHAT, {**BAILIAN, "block_size": 4}, {**GOOD, "type": "text"}, BAILIAN])
def test_block_trace_refuses_times_of_unclear_unit(tmp_path: Path, other: dict[str, Any]) -> None:
    path = write(tmp_path / "t.jsonl", GOOD, {**other, "timestamp": 5}, {**other, "timestamp": 9})
    with pytest.raises(DatasetError, match=r"line 2: field timestamp: .* set dataset\.timestamp_unit to s or to ms"):
        read_block_columns(path, 4)
    assert read_block_columns(path, 4, timestamp_unit="s").timestamps_ms.tolist() == [0, 5000, 9000]
    same = write(tmp_path / "same.jsonl", GOOD, other)  # times that are all equal mean the same in every unit
    assert read_block_columns(same, 4).timestamps_ms.tolist() == [0, 0]


def test_block_trace_takes_rows_without_times_or_with(tmp_path: Path) -> None:
    bare = {key: value for key, value in GOOD.items() if key != "timestamp"}
    untimed = write(tmp_path / "t.jsonl", bare, bare)
    assert np.isnan(read_block_columns(untimed, 4).timestamps_ms).tolist() == [True, True]
    made = requests(untimed)
    assert [request.arrival_s for request in made] == [None, None]
    with pytest.raises(ConfigError, match=r"2 of 2 have none .*: set order\.start=poisson or uniform"):
        Timed().arrange(made)
    with pytest.raises(DatasetError, match=r"line 2: field timestamp is present, but earlier rows have none"):
        read_block_columns(write(tmp_path / "t.jsonl", bare, GOOD), 4)


def test_block_trace_refuses_a_parent_that_comes_later(tmp_path: Path) -> None:
    late = {**GOOD, "chat_id": 2, "parent_chat_id": 1}
    for rows, which in (
        ([GOOD, "", late, CHAT], r"a later row \(line 4\)"),
        ([CHAT, "", {**late, "parent_chat_id": 2}], "own"),
    ):
        with pytest.raises(DatasetError, match=rf"t\.jsonl: line 3: field parent_chat_id names .*{which}"):
            BlockTrace(path=write(tmp_path / "t.jsonl", *rows), block_size=4).load()


def test_block_trace_counts_different_blocks_and_not_the_highest_id(tmp_path: Path) -> None:
    rows = [{**GOOD, "hash_ids": [1000, 1001, 1002]}, {**GOOD, "hash_ids": [1000, 1001, 1003]}]
    assert read_block_columns(write(tmp_path / "t.jsonl", *rows), 4).counts["distinct_blocks"] == 4


def test_block_trace_counts_different_blocks_of_every_third_row(tmp_path: Path, mooncake: Path) -> None:
    lines = mooncake.read_text().splitlines(keepends=True)[::3]
    (tmp_path / "t.jsonl").write_text("".join(lines))
    different = {block for line in lines for block in json.loads(line)["hash_ids"]}
    assert read_block_columns(str(tmp_path / "t.jsonl"), 512).counts["distinct_blocks"] == len(different) == 74_671


def test_block_trace_reads_many_line_ends_in_bounded_memory(tmp_path: Path) -> None:
    row = json.dumps(GOOD).encode() + b"\n"
    odd = json.dumps({**GOOD, "hash_ids": ["a", "b", "c"]}).encode() + b"\n"
    path = tmp_path / "t.jsonl"
    path.write_bytes(b"\n" * (30 << 20) + row + b" \n\r\n" * 1000 + odd + b"\n" * (20 << 20))
    tracemalloc.start()
    try:
        columns = read_block_columns(str(path), 4)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert columns.lines.tolist() == [(30 << 20) + 1, (30 << 20) + 2002]
    assert peak < 200 << 20


def test_block_trace_stops_where_nothing_but_line_ends_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_bytes, "CHUNK_BYTES", 1 << 18)
    monkeypatch.setattr(block_reader, "MAX_LINE_BYTES", 1 << 20)
    row = json.dumps(GOOD).encode() + b"\n"
    (tmp_path / "t.jsonl").write_bytes(row + b"\n" * (3 << 20))
    with pytest.raises(DatasetError, match=r"t\.jsonl: line \d+: the 1 MB before it are blank"):
        read_block_columns(str(tmp_path / "t.jsonl"), 4)
    (tmp_path / "t.jsonl").write_bytes((row + b"\n" * (1 << 19)) * 6)
    assert read_block_columns(str(tmp_path / "t.jsonl"), 4).counts["rows"] == 6


def test_block_trace_refuses_two_block_sizes(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", {**GOOD, "block_size": 4}, {**GOOD, "block_size": 3})
    with pytest.raises(DatasetError, match=r"line 2: block_size is 3, but it was 4"):
        read_block_columns(path)


def test_block_trace_without_a_block_size_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"line 1: field block_size is missing: set dataset\.block_size"):
        read_block_columns(write(tmp_path / "t.jsonl", GOOD))


def test_block_trace_of_a_bad_file(tmp_path: Path) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.write_text("\n \n")
    packed = gzip.compress("".join(json.dumps(GOOD) + "\n" for _ in range(2000)).encode())
    (tmp_path / "cut.gz").write_bytes(packed[: len(packed) // 2])
    (tmp_path / "bad.gz").write_bytes(packed[:30] + b"xxxxxx" + packed[36:])
    (tmp_path / "latin.jsonl").write_bytes(b'{"input_length": 9, "x": "\xe9"}\n')
    for name, what in (
        ("empty.jsonl", "the file is empty"),
        ("cut.gz", "truncated"),
        ("bad.gz", "damaged"),
        ("latin.jsonl", "line 1: not UTF-8"),
        ("absent.jsonl", "no such file"),
        (".", "is a directory"),
    ):
        with pytest.raises(DatasetError, match=what):
            read_block_columns(str(tmp_path / name), 4)


def test_block_trace_refuses_an_endless_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_bytes, "CHUNK_BYTES", 1 << 10)
    monkeypatch.setattr(block_reader, "MAX_LINE_BYTES", 1 << 20)
    path = tmp_path / "t.jsonl"
    path.write_text(json.dumps(GOOD) + "\n" + json.dumps(GOOD)[:-2] + ", 4" * (1 << 19))
    with pytest.raises(DatasetError, match=r"line 2 is longer than 1 MB"):
        read_block_columns(str(path), 4)


def test_block_trace_reads_the_same_in_small_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{**GOOD, "hash_ids": [index, index + 1, index + 2], "timestamp": index} for index in range(50)]
    path = write(tmp_path / "t.jsonl", *rows)
    whole = read_block_columns(path, 4)
    monkeypatch.setattr(source_bytes, "CHUNK_BYTES", 100)
    pieces = read_block_columns(path, 4)
    assert pieces.ids.tolist() == whole.ids.tolist()
    assert pieces.timestamps_ms.tolist() == whole.timestamps_ms.tolist()
    assert pieces.digest == whole.digest
    with gzip.open(tmp_path / "t.gz", "wb") as file:
        file.write(Path(path).read_bytes())
    assert read_block_columns(str(tmp_path / "t.gz"), 4).ids.tolist() == whole.ids.tolist()


Rows = st.lists(
    st.tuples(st.lists(st.integers(0, 3), min_size=1, max_size=5), st.integers(0, 3), st.integers(1, 9), st.booleans()),
    min_size=1,
    max_size=12,
)


@given(Rows, st.sampled_from([4, 2, 8]), st.integers(0, 12))
def test_block_trace_replays_as_vllm_runs_it(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Any], block_size: int, spare: int
) -> None:
    # prompts of a few blocks that repeat, replies whose blocks are sometimes known (numbers shared with prompts)
    documents = []
    for ids, short, reply, known in rows:
        prompt = 4 * len(ids) - short
        row = {"input_length": prompt, "output_length": reply, "hash_ids": ids}
        if known:
            row["output_hash_ids"] = [3] * ((prompt + reply) // 4 - prompt // 4)
        documents.append(row)
    path = write(tmp_path_factory.mktemp("trace") / "t.jsonl", *documents)
    schedule = ByArrival().arrange(requests(path))
    shared: dict[str, Any] = {"block_size": block_size, "max_model_len": 40, "num_blocks": 40 // block_size + 1 + spare}
    sim = SimEngine(max_num_seqs=1, **shared).run(schedule, lambda ended: None)
    replay = ReplayEngine(rules="vllm", **shared).run(schedule, lambda ended: None)
    assert replay.records == sim.records
    assert replay.counters == sim.counters


Number: st.SearchStrategy[Any] = st.integers(-2, 30) | st.sampled_from([2**62, 2**63, 10**18, 1.5, None, True, "4", []])
TextId = st.sampled_from(["a", "b", "ab", "a b", "5", "\u00e9", 'a"', "a\\", ""])
Document = st.fixed_dictionaries(
    {},
    optional={
        "input_length": st.integers(1, 12) | Number,
        "output_length": st.integers(0, 5) | Number,
        "hash_ids": st.lists(st.integers(0, 5) | Number, max_size=3) | st.lists(TextId, max_size=3) | Number,
        "timestamp": Number,
        "block_size": st.just(4) | Number,
        "chat_id": Number,
        "parent_chat_id": Number,
        "turn": Number,
        "type": st.text(max_size=3),
        "output_hash_ids": st.lists(st.integers(0, 5), max_size=2) | Number,
        "other": Number,
    },
)


@given(st.lists(Document, min_size=1, max_size=3), st.sampled_from([None, (",", ":"), (" , ", " :\t")]), st.data())
def test_block_trace_fast_reader_reads_as_the_careful_one_or_not_at_all(
    documents: list[dict[str, Any]], separators: tuple[str, str] | None, data: st.DataObject
) -> None:
    text = "\n".join(json.dumps(document, separators=separators) for document in documents)
    if data.draw(st.booleans()):  # cut or damaged somewhere
        place = data.draw(st.integers(0, len(text) - 1))
        text = text[:place] + data.draw(st.sampled_from(["", "}", "0", ",", '"', "\n", "x", "\\"])) + text[place + 1 :]
    fast = BlockChunk.of_plain(text.encode(), 4, None)
    if fast is None:
        return
    rows, size = [], None
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            row = row_object(line.encode(), "a file", number)
            assert without_ignored(row, (), "a line") == (row, [])
            rows.append(BlockRow.of(row, "a file", number, 4, size))
            size = rows[-1].block_size
    careful = BlockChunk.of_rows(rows, IdNames())
    for field in dataclasses.fields(BlockChunk):
        wanted, found = getattr(careful, field.name), getattr(fast, field.name)
        if isinstance(wanted, np.ndarray):
            wanted, found = wanted.tolist(), found.tolist()
        assert found == wanted, field.name


@given(
    st.lists(
        st.lists(st.text('ab\u00e9"\\5', min_size=1, max_size=3) | st.integers(0, 9), max_size=6),
        min_size=1,
        max_size=8,
    )
)
def test_block_trace_ids_are_equal_where_their_texts_are(
    tmp_path_factory: pytest.TempPathFactory, lists: list[list[str | int]]
) -> None:
    # Lines with and without escapes: some pieces are read by the lexer, others row by row.
    path = tmp_path_factory.mktemp("trace") / "t.jsonl"
    rows = [{"input_length": 4 * len(ids) + 1, "output_length": 1, "hash_ids": ids} for ids in lists]
    write(path, *rows)
    reader = BlockReader("a file", "error", 4, frozenset())
    for row in rows:
        reader._add(json.dumps(row).encode() + b"\n")
    read = [chunk.ids.tolist() for chunk in reader.chunks]
    for found in (read_block_columns(str(path), 4).ids.tolist(), [number for ids in read for number in ids]):
        numbers: dict[str | int, int] = {}
        flat = [id for ids in lists for id in ids]
        assert [numbers.setdefault(id, number) for id, number in zip(flat, found, strict=True)] == found
        assert len(set(numbers.values())) == len(numbers)


def test_block_trace_many_text_ids(tmp_path: Path) -> None:
    # More than the first hash table holds, and more pieces than one.
    ids = [f"{number * 7919 % 20_011:05x}" for number in range(20_011)]
    rows = [
        {"input_length": 4 * 500, "output_length": 1, "hash_ids": ids[at : at + 500]} for at in range(0, 20_000, 500)
    ]
    columns = read_block_columns(write(tmp_path / "t.jsonl", *rows, *rows), 4)
    assert columns.ids.tolist() == [*range(20_000), *range(20_000)]
    assert (columns.num_ids, columns.counts["distinct_blocks"]) == (20_000, 20_000)


def test_block_trace_fast_reader_takes_what_traces_hold() -> None:
    mooncake = json.dumps(GOOD).encode() + b"\n"
    bailian = json.dumps({"chat_id": 1, "parent_chat_id": -1, "type": "text", "turn": 1, **GOOD}).encode()
    for text in (mooncake, bailian, mooncake * 3, b"\r\n" + mooncake):
        assert BlockChunk.of_plain(text, 4, None) is not None


def test_block_trace_written_and_read_again_is_the_same(tmp_path: Path) -> None:
    rows = [
        {**GOOD, "chat_id": 1, "output_length": 8, "output_hash_ids": [5, 6]},
        {**GOOD, "chat_id": 2, "parent_chat_id": 1, "input_length": 16, "hash_ids": [1, 2, 5, 6], "timestamp": 700},
    ]
    before = requests(write(tmp_path / "t.jsonl", *rows), timestamp_unit="ms")
    write_lines(tmp_path / "again.jsonl.gz", block_trace_lines(before))
    after = requests(str(tmp_path / "again.jsonl.gz"), None)
    assert [request.follows for request in after] == [None, after[0].id]
    engine = ReplayEngine(block_size=4, max_model_len=64, num_blocks=40, rules="vllm")
    hits = [
        [record.cached_tokens for record in engine.run(ByArrival().arrange(made), lambda ended: None).records]
        for made in (before, after)
    ]
    assert hits[0] == hits[1] == [0, 12]  # 16 tokens of prompt: at most 3 blocks, the third is the reply's first
