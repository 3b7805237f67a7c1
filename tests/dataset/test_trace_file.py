"""Trace files: the guide's rows, rows with exact ids, bad rows, and the way from requests to a file and back."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachelab.conversation import RecordedConversation
from cachelab.dataset.trace_file import TraceFile, parse_trace
from cachelab.errors import DatasetError
from cachelab.export.trace_writer import trace_rows, write_trace
from cachelab.message import Isolation, Message
from cachelab.request import Request


def row(conversation_id: str = "a", turn_index: Any = 0, **fields: Any) -> dict[str, Any]:
    plain = {"prompt": f"p{turn_index}", "response": "r", "conversation_id": conversation_id, "turn_index": turn_index}
    return plain | {"timestamp": 1.5} | fields


def exact(kept: Any = 0, new: Any = (), reply: Any = (), tokenizer: Any = "t") -> dict[str, Any]:
    return {
        "tokenizer": tokenizer, "prompt_kept_tokens": kept,
        "prompt_new_token_ids": list(new), "response_token_ids": list(reply),
    }  # fmt: skip


def lines(*rows: Any) -> str:
    return "\n".join(json.dumps(row) for row in rows) + "\n"


def test_parse_orders_conversations_and_turns() -> None:
    parsed = parse_trace(lines(row("b", 1), row("a", 0), row("b", 0, timestamp=7)), "t.jsonl")
    assert [conversation.id for conversation in parsed.conversations] == ["b", "a"]
    assert [turn.prompt for turn in parsed.conversations[0].turns] == ["p0", "p1"]
    assert [turn.timestamp_s for turn in parsed.conversations[0].turns] == [7.0, 1.5]
    assert parsed.conversations[0].turns[0].prompt_ids is None
    assert parsed.counts == {
        "conversations": 2,
        "turns": 3,
        "turns_with_token_ids": 0,
        "ignored_fields": 0,
        "ignored_values": 0,
    }


def test_parse_rebuilds_prompt_ids_from_the_turn_before() -> None:
    # Turn 0: prompt 1 2 3, reply 4 5. Turn 1 keeps 4 of those 5 and adds 9: 1 2 3 4 9, reply 6. Turn 2 keeps nothing.
    rows = row("a", 0, **exact(0, [1, 2, 3], [4, 5])), row("a", 1, **exact(4, [9], [6])), row("a", 2, **exact(0, [8]))
    parsed = parse_trace(lines(*rows), "t.jsonl")
    prompts = [turn.prompt_ids for turn in parsed.conversations[0].turns]
    assert [prompt.tolist() for prompt in prompts if prompt is not None] == [[1, 2, 3], [1, 2, 3, 4, 9], [8]]
    assert {turn.tokenizer for turn in parsed.conversations[0].turns} == {"t"}
    assert parsed.counts["turns_with_token_ids"] == 3


def test_parse_skips_blank_lines_and_counts_unknown_fields() -> None:
    text = "\n" + lines(row("a", 0, note=1, prompt="x\u2028y")) + "\r\n" + lines(row("a", 1, note=2, user=3))
    parsed = parse_trace(text, "t.jsonl")
    assert parsed.counts["turns"] == 2
    assert (parsed.counts["ignored_fields"], parsed.counts["ignored_values"]) == (2, 3)
    assert parsed.notes == ("fields of the dataset that were not read (how often): note (2), user (1)",)


def test_parse_unescaped_line_separator_is_text() -> None:
    parsed = parse_trace(json.dumps(row("a", 0, prompt="x\u2028y"), ensure_ascii=False), "t.jsonl")
    assert parsed.conversations[0].turns[0].prompt == "x\u2028y"


def without(field: str, **fields: Any) -> dict[str, Any]:
    whole = row() | fields
    return {key: value for key, value in whole.items() if key != field}


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        pytest.param(lines(row()) + '{"prompt": "x', ["line 2 column 12", "truncated"], id="truncated"),
        pytest.param(
            lines(row()) + json.dumps(row())[:-1] + ', "turn_index": 1}',
            ["line 2", "key 'turn_index' appears twice"], id="duplicate_key",
        ),
        pytest.param(lines(row(timestamp=float("-inf"))), ["field timestamp is -Infinity"], id="timestamp_infinite"),
        pytest.param(lines(row(timestamp=1e300)), ["field timestamp is 1e+300"], id="timestamp_far"),
        pytest.param("[\n" + lines(row()), ["line 1 column 2", "not JSON Lines"], id="json_array"),
        pytest.param(lines(row()) + "{prompt: 1}", ["line 2 column 2", "not JSON"], id="not_json"),
        pytest.param(lines(row(), [1]), ["line 2 is an array"], id="no_object"),
        *(
            pytest.param(lines(without(field)), ["line 1", f"field {field} is missing"], id=f"no_{field}")
            for field in ("prompt", "response", "conversation_id", "turn_index", "timestamp")
        ),
        *(
            pytest.param(lines(without(field, **exact())), ["line 1", f"field {field} is missing"], id=f"no_{field}")
            for field in ("tokenizer", "prompt_kept_tokens", "prompt_new_token_ids", "response_token_ids")
        ),
        pytest.param(lines(row(prompt=None)), ["field prompt is null"], id="prompt_null"),
        pytest.param(lines(row(prompt="\ud83d")), ["field prompt holds half"], id="prompt_half_surrogate"),
        pytest.param(lines(row(conversation_id=" ")), ["field conversation_id is blank"], id="blank_id"),
        pytest.param(lines(row(turn_index=-1)), ["field turn_index is -1"], id="turn_negative"),
        pytest.param(lines(row(turn_index=True)), ["field turn_index is true"], id="turn_bool"),
        pytest.param(lines(row(turn_index=0.0)), ["field turn_index is 0.0"], id="turn_float"),
        pytest.param(lines(row(timestamp="1")), ["field timestamp is text"], id="timestamp_text"),
        pytest.param(lines(row(timestamp=float("nan"))), ["field timestamp is NaN, not a finite"], id="timestamp_nan"),
        pytest.param(lines(row(timestamp=10**400)), ["is 1000", "000..., not a finite"], id="timestamp_huge"),
        pytest.param(lines(row(**exact(tokenizer=1))), ["field tokenizer is a number"], id="tokenizer_number"),
        pytest.param(lines(row(**exact(kept=-2))), ["field prompt_kept_tokens is -2"], id="kept_negative"),
        pytest.param(
            lines(row(**exact(new=[4, -5]))), ["field prompt_new_token_ids[1] is -5"], id="id_negative",
        ),
        pytest.param(
            lines(row(**exact(reply=[2**31]))), ["field response_token_ids[0] is 2147483648"], id="id_too_large",
        ),
        pytest.param(
            lines(row(**exact(reply=[True]))), ["field response_token_ids[0] is true"], id="id_bool",
        ),
        pytest.param(
            lines(row(**exact() | {"response_token_ids": "1 2"})), ["field response_token_ids is text"], id="ids_text",
        ),
        pytest.param(lines(row(), row("b"), row()), ["line 3", "field turn_index", "line 1"], id="duplicate"),
        pytest.param(lines(row(), row("a", 2)), ["line 2", "turn 2 but no turn 1"], id="gap"),
        pytest.param(lines(row("a", 1)), ["line 1", "turn 1 but no turn 0"], id="no_first_turn"),
        pytest.param(
            lines(row(**exact(0, [1], [2])), row("a", 1, **exact(3, [4]))),
            ["line 2", "field prompt_kept_tokens is 3", "has 2 token ids"], id="kept_too_many",
        ),
        pytest.param(
            lines(row(), row("a", 1, **exact(1, [4]))), ["line 2", "prompt_kept_tokens is 1"], id="kept_of_nothing",
        ),
        pytest.param(
            lines(row(**exact(0, [1], [2])), row("a", 1, **exact(1, [4], tokenizer="u"))),
            ["line 2", "field tokenizer is 'u'"], id="other_tokenizer",
        ),
    ],
)  # fmt: skip
def test_parse_bad_row_is_one_line(text: str, parts: list[str]) -> None:
    with pytest.raises(DatasetError) as caught:
        parse_trace(text, "t.jsonl")
    message = str(caught.value)
    assert message.startswith("t.jsonl: ")
    assert "\n" not in message
    assert all(part in message for part in parts), message


def test_load_plain_and_gzip(tmp_path: Path) -> None:
    plain, packed = tmp_path / "t.jsonl", tmp_path / "t.jsonl.gz"
    plain.write_text(lines(row(), row("a", 1)))
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    loaded = TraceFile(str(packed)).load()
    assert loaded.conversations == TraceFile(str(plain)).load().conversations
    assert (loaded.name, loaded.source, len(loaded.digest)) == ("trace", str(packed), 64)


def requests_of(spec: list[list[tuple[int, list[int], list[int], str]]]) -> list[Request]:
    """Requests whose conversations share what `kept` allows, as a chat template would make them."""
    requests = []
    for n, turns in enumerate(spec):
        context = np.empty(0, dtype=np.int32)
        messages: tuple[Message, ...] = ()
        for k, (kept, new, reply, text) in enumerate(turns):
            kept = min(kept, len(context))
            prompt = np.concatenate([context[:kept], np.asarray(new, dtype=np.int32)])
            reply_ids = np.asarray(reply, dtype=np.int32)
            messages = (*messages, Message("user", text))
            said = Message("assistant", text)
            times = (k / 3, 0.25 if k else None) if n else (None, None)  # the first conversation has none
            requests.append(
                Request(
                    f"c{n}/{k}", f"c{n}", k, prompt, reply_ids, messages, said, k / 3, kept,
                    arrival_s=times[0], think_s=times[1],
                )
            )  # fmt: skip
            context = np.concatenate([prompt, reply_ids])
    return requests


IDS = st.lists(st.integers(0, 2**31 - 1), max_size=5)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
TURN = st.tuples(st.integers(0, 12), IDS, IDS, TEXT)


@given(spec=st.lists(st.lists(TURN, min_size=1, max_size=4), min_size=1, max_size=3))
def test_rows_read_back_are_equal(spec: list[list[tuple[int, list[int], list[int], str]]]) -> None:
    requests = requests_of(spec)
    parsed = parse_trace(lines(*trace_rows(requests, "tekken")), "t.jsonl")
    back = [(c.id, k, turn) for c in parsed.conversations for k, turn in enumerate(c.turns)]
    assert len(back) == len(requests)
    for request, (id, turn_index, turn) in zip(requests, back, strict=True):
        assert (id, turn_index) == (request.conversation_id, request.turn_index)
        assert (turn.prompt, turn.response, turn.tokenizer) == (request.prompt, request.response, "tekken")
        assert (turn.timestamp_s, turn.think_s) == (request.arrival_s, request.think_s)
        assert turn.prompt_ids is not None
        assert turn.response_ids is not None
        assert turn.prompt_ids.tolist() == request.prompt_ids.tolist()
        assert turn.response_ids.tolist() == request.reply_ids.tolist()


def test_rows_store_new_ids_only() -> None:
    # Turn 1 keeps the 3 ids of turn 0's prompt and the 2 of its reply.
    requests = requests_of([[(0, [1, 2, 3], [4, 5], "x"), (5, [6], [7], "y")]])
    first, second = trace_rows(requests, "t")
    assert (first["prompt_kept_tokens"], first["prompt_new_token_ids"]) == (0, [1, 2, 3])
    assert (second["prompt_kept_tokens"], second["prompt_new_token_ids"]) == (5, [6])
    assert second["prompt"] == "x\n\ny"


def test_write_trace_makes_equal_bytes_and_reads_back(tmp_path: Path) -> None:
    requests = requests_of([[(0, [1, 2], [3], "é\U0001f525")]])
    one, two = tmp_path / "one.jsonl.gz", tmp_path / "two.jsonl.gz"
    write_trace(one, trace_rows(requests, "t"))
    write_trace(two, trace_rows(requests, "t"))
    assert one.read_bytes() == two.read_bytes()
    (conversation,) = TraceFile(str(one)).load().conversations
    assert isinstance(conversation, RecordedConversation)
    assert conversation.turns[0].prompt == requests[0].prompt
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.jsonl.gz", "two.jsonl.gz"]


def test_write_trace_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl.gz"
    path.write_bytes(b"old")
    with pytest.raises(TypeError):
        write_trace(path, [row(), row(prompt=object())])
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["t.jsonl.gz"]


def test_isolation_of_a_request_is_written_and_read_back(tmp_path: Path) -> None:
    isolation = Isolation(cache_salt="tenant", model="m")
    prompt = np.asarray([1, 2], np.int32)
    request = Request("c/0", "c", 0, prompt, prompt, (Message("user", "a"),), None, 0.0, isolation=isolation)
    write_trace(tmp_path / "trace.jsonl.gz", trace_rows([request], "t"))
    (conversation,) = TraceFile(path=str(tmp_path / "trace.jsonl.gz")).load().conversations
    assert isinstance(conversation, RecordedConversation)
    assert conversation.turns[0].isolation == isolation


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"think_s": -1}, r"field think_s is -1\.0, not seconds from 0"),
        ({"think_s": "soon"}, r"field think_s is text, not a number of seconds"),
        ({"think_s": float("nan")}, r"field think_s is NaN"),
        ({"timestamp_recorded": 0}, r"field timestamp_recorded is 0, not true or false"),
    ],
)
def test_times_that_are_wrong_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(DatasetError, match=rf"^f: line 1: {message}"):
        parse_trace(lines(row(**fields)), "f")


@pytest.mark.parametrize("isolation", ['"a"', '{"salt": "a"}', '{"cache_salt": 3}'])
def test_isolation_that_is_wrong_is_refused(isolation: str) -> None:
    row = '{"prompt": "a", "response": "b", "conversation_id": "c", "turn_index": 0, "timestamp": 0.0, "isolation": '
    with pytest.raises(DatasetError, match=r"^f: line 1: field isolation"):
        parse_trace(f"{row}{isolation}}}", "f")
