"""Broken data files, made by rules: each loads with everything accounted for, or is refused in one line.

The oracles below read the same bytes again with plain `json` and count by brute force; a file that loads with other
numbers, or with a key twice, is lost, and so is any error but a DatasetError in one line that names file and place.
"""

import gzip
import io
import itertools
import json
import os
import random
import re
import resource
import signal
import socket
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psutil
import pyarrow
import pytest
from pyarrow import parquet
from pydantic import ValidationError

from cachelab.conversation import Conversation
from cachelab.dataset.auto import Auto
from cachelab.dataset.base import Dataset, LoadedDataset
from cachelab.dataset.block_trace import BlockTrace
from cachelab.dataset.chat import Chat
from cachelab.dataset.claude_code import ClaudeCode
from cachelab.dataset.sharegpt import ShareGPT
from cachelab.dataset.text_log import TextLog
from cachelab.dataset.trace_file import TraceFile
from cachelab.error_format import format_finding
from cachelab.errors import DatasetError
from cachelab.message import Message
from workloads import reply_text, system_text, user_text

SECONDS = 20
PLACE = re.compile(
    r": line \d+|: item \d+|at byte \d+|: the (gzip )?file is|: the gzip file unpacks|: none of|: the top level is"
    r"|: the array is|: holds more than|: is (a|no|something)|: no such file|: cannot be read|: the JSON is nested"
    r"|: not usable JSON|: the top-level object \(line|: its format is not recognised|: a trace of lengths"
    r"|: read as block_trace, but the rows do not state|: its sessions have no|: field \w+ "
    r"|: row \d+|: the Parquet file |: no request is left of \d+ rows"
)

VALUES = (
    "null", "true", "false", "-1", "-2", "0", "1", "1.5", "1e2", "-0", "-0.0", "9007199254740993",
    "9223372036854775808", "18446744073709551616", "100000000000000000000", "1e20", "1e300", "1e400", "NaN", "Infinity",
    "-Infinity", "1" * 400, "1" * 5000, "01", "1.", ".5", "0x10", "1_000", "True", "nul", "'a'", '""', '" "', '"text"',
    '"7"',
    '"\\ud800"', '"\\udc00\\ud800"', '"\\x"', '"\\u0000"', '"unterminated', '"line\nfeed"', '"\u2028"', "[]", "{}",
    "[null]", "[1, 2, 3]", "[1, 2.5, 3]", "[1, -1, 3]", '["a", "b", "c"]', '["a", 1, "1"]', '[1, "", 3]', "[[1], 2, 3]",
    "[9223372036854775807, 9223372036854775808, 18446744073709551615]", '{"a": 1, "a": 2}', "[" * 3000 + "]" * 3000,
    "[" * 200_000, '{"a":' * 200_000,
)  # fmt: skip
"""JSON texts, and what is nearly JSON, that take the place of a field's value."""

FIELDS = (
    "text_input",
    "model",
    "cache_salt",
    "note",
    "",
    " timestamp",
    "\u202e",
    "\ud800",
    "a\nb",
    "x" * 500,
)
"""Fields that no format has."""


@dataclass(frozen=True)
class Source:
    """A sound small file, how it is read, and what reading any bytes must give."""

    name: str
    rows: tuple[dict[str, Any], ...]
    lines: bool
    dataset: Callable[..., Dataset]
    check: Callable[[bytes, LoadedDataset], None]

    def text(self, rows: list[str]) -> str:
        return "".join(row + "\n" for row in rows) if self.lines else "[" + ",\n ".join(rows) + "]\n"

    @property
    def sound(self) -> bytes:
        return self.text([json.dumps(row) for row in self.rows]).encode()


def plain_json(text: str) -> Any:
    """The value, read without cachelab; a key twice is an error."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs), "a key appears twice"
        return dict(pairs)

    return json.loads(text, object_pairs_hook=once)


def text_of(data: bytes) -> str:
    return (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode().removeprefix("\ufeff")


def rows_of(data: bytes) -> list[Any]:
    return [plain_json(line.removeprefix("\ufeff")) for line in text_of(data).split("\n") if line.strip()]


def check_ignored(loaded: LoadedDataset, names: list[str]) -> None:
    assert loaded.counts["ignored_fields"] == len(set(names))
    assert loaded.counts["ignored_values"] == len(names)
    assert any("not read" in note for note in loaded.notes) == bool(names), "fields that were not read are not named"
    assert all("\n" not in note and note.isprintable() for note in loaded.notes)


def check_messages(data: bytes, loaded: LoadedDataset) -> None:
    items = plain_json(text_of(data))
    counts = loaded.counts
    messages = [message for item in items for message in item["conversations"]]
    assert counts["messages"] == len(messages)
    assert counts["conversations"] + counts["conversations_without_human"] == len(items)
    used: Counter[str] = Counter()
    for conversation in loaded.conversations:
        assert isinstance(conversation, Conversation)
        texts = [
            system_text(conversation) or "",
            *(text for turn in conversation.turns for text in (user_text(turn), reply_text(turn))),
        ]
        used.update(piece for text in texts if text for piece in text.split("\n\n"))
    known = Counter(
        re.sub("[\ud800-\udfff]", "\ufffd", message["value"]) for message in messages if message.get("value")
    )
    assert not used - known, "a text that is not in the file"
    dropped = sum(number for key, number in counts.items() if key.startswith("dropped_"))
    assert used.total() + dropped == len(messages)
    names = [key for item in items for key in item if key not in ("id", "conversations")]
    check_ignored(loaded, names + [key for message in messages for key in message if key not in ("from", "value")])


def check_trace(data: bytes, loaded: LoadedDataset) -> None:
    rows = rows_of(data)
    turns = {(one.id, index): turn for one in loaded.conversations for index, turn in enumerate(one.turns)}
    assert len(turns) == len(rows) == loaded.counts["turns"]
    assert loaded.counts["conversations"] == len({row["conversation_id"] for row in rows})
    for row in rows:
        turn: Any = turns[row["conversation_id"], row["turn_index"]]
        assert (turn.prompt, turn.response, turn.timestamp_s) == (row["prompt"], row["response"], row["timestamp"])
        if turn.response_ids is not None:
            assert turn.response_ids.tolist() == row["response_token_ids"]
            assert len(turn.prompt_ids) == row["prompt_kept_tokens"] + len(row["prompt_new_token_ids"])
    exact = ("tokenizer", "prompt_kept_tokens", "prompt_new_token_ids", "response_token_ids")
    assert loaded.counts["turns_with_token_ids"] == sum("tokenizer" in row for row in rows)
    known = {
        "prompt",
        "response",
        "conversation_id",
        "turn_index",
        "timestamp",
        *exact,
        "think_s",
        "timestamp_recorded",
    }
    check_ignored(loaded, [key for row in rows for key in row if key not in known])


def check_blocks(data: bytes, loaded: LoadedDataset) -> None:
    rows = rows_of(data)
    turns: list[Any] = [turn for one in loaded.conversations for turn in one.turns]
    counts = loaded.counts
    assert len(turns) == len(rows) == counts["turns"]
    assert counts["conversations"] == len(loaded.conversations)
    assert counts["listed_blocks"] == sum(len(row["hash_ids"]) for row in rows)
    ids = [id for row in rows for id in [*row["hash_ids"], *(row.get("output_hash_ids") or [])]]
    assert counts["distinct_blocks"] == len(set(ids))
    sizes = [(row["input_length"], row["output_length"]) for row in rows]
    assert sorted((turn.prompt_tokens, len(turn.reply_ids)) for turn in turns) == sorted(sizes)
    meanings = {*BLOCK_ROW, "block_size", "chat_id", "parent_chat_id", "output_hash_ids", "type", "turn", "request_id"}
    for row in rows:
        assert row.keys() <= {*meanings, "hash_id_scope"}
        assert row.get("hash_id_scope") in (None, "global")
    # Equal ids are equal blocks, over all rows; conversations are in the order of their first rows.
    if counts["conversations"] == len(rows):
        number: dict[Any, int] = {}
        for row, turn in zip(rows, turns, strict=True):
            for id, block in zip(row["hash_ids"], turn.new_ids.listed.tolist(), strict=True):
                assert number.setdefault(id, block) == block
        assert len(set(number.values())) == len(number)
    check_chats(rows, loaded)
    times = [row.get("timestamp", 0) for row in rows]
    assert len({"timestamp" in row for row in rows}) == 1
    seconds = 1 if "turn" in rows[0] or "type" in rows[0] else 1000
    found = sorted(turn.timestamp_s for turn in turns)
    assert found == pytest.approx(sorted((time - min(times)) / seconds for time in times))


def check_chats(rows: list[Any], loaded: LoadedDataset) -> None:
    """A chat that several rows name is looked for by brute force: which row does each continue?"""
    no_chat = (None, -1, "-1", "")
    continued: dict[int, int] = {}
    missing = branches = 0
    for index, row in enumerate(rows):
        parent = row.get("parent_chat_id")
        if parent in no_chat:
            continue
        earlier = [at for at in range(index) if rows[at].get("chat_id") == parent]
        missing += not earlier
        branches += bool(earlier) and earlier[-1] in continued
        if earlier:
            continued.setdefault(earlier[-1], index)
        else:
            assert all(later.get("chat_id") != parent for later in rows[index:]), "the parent comes later"
    chats = [row["chat_id"] for row in rows if row.get("chat_id") not in no_chat]
    assert loaded.counts["missing_parents"] == missing
    assert loaded.counts["branches"] == branches
    assert loaded.counts["duplicate_chats"] == len(chats) - len(set(chats))
    assert loaded.counts["conversations"] == len(rows) - len(continued)


def sharegpt(path: str, **options: Any) -> Dataset:
    return ShareGPT(path=path, **options)


def blocks(path: str, **options: Any) -> Dataset:
    return BlockTrace(path=path, block_size=4, **options)


BLOCK_ROW = {"timestamp": 0, "input_length": 9, "output_length": 2, "hash_ids": [1, 2, 3]}
BAILIAN = {"chat_id": 1, "parent_chat_id": -1, **BLOCK_ROW, "type": "text", "turn": 1}
TRACE_ROW = {"prompt": "p", "response": "r", "conversation_id": "a", "turn_index": 0, "timestamp": 1.5}
EXACT_ROW = {"tokenizer": "t", "prompt_kept_tokens": 0, "prompt_new_token_ids": [1, 2], "response_token_ids": [3]}
SAID = [{"from": "system", "value": "be kind"}, {"from": "human", "value": "one"}, {"from": "gpt", "value": "two"}]
SOURCES = (
    Source(
        "sharegpt",
        ({"id": "a", "conversations": SAID}, {"id": "b", "conversations": [*SAID[1:], {**SAID[1], "value": "é"}]}),
        False, sharegpt, check_messages,
    ),
    Source(
        "trace", ({**TRACE_ROW, **EXACT_ROW}, {**TRACE_ROW, "conversation_id": "b", "timestamp": 7}), True, TraceFile,
        check_trace,
    ),
    Source(
        "mooncake", (BLOCK_ROW, {**BLOCK_ROW, "timestamp": 50, "hash_ids": [1, 2, 9]}, {**BLOCK_ROW, "timestamp": 99}),
        True, blocks, check_blocks,
    ),
    Source(
        "bailian",
        (
            BAILIAN,
            {**BAILIAN, "chat_id": 2, "timestamp": 1.5},
            {**BAILIAN, "chat_id": 3, "parent_chat_id": 1, "timestamp": 3, "turn": 2},
        ),
        True, blocks, check_blocks,
    ),
    Source(
        "exported",
        (
            {**BLOCK_ROW, "block_size": 4, "chat_id": 0, "parent_chat_id": -1, "output_hash_ids": [7]},
            {**BLOCK_ROW, "block_size": 4, "chat_id": 1, "parent_chat_id": 0, "timestamp": 9, "output_hash_ids": []},
        ),
        True, blocks, check_blocks,
    ),
)  # fmt: skip


def check_claude_code(data: bytes, loaded: LoadedDataset) -> None:
    sessions = documents_of(data)
    agents = [agent for one in sessions for agent in (one, *(c for c in one["requests"] if c["type"] == "subagent"))]
    calls = [call for agent in agents for call in agent["requests"] if call["type"] != "subagent"]
    counts = loaded.counts
    assert counts["sessions"] == len(sessions)
    assert counts["subagents"] == len(agents) - len(sessions)
    turns: list[Any] = [turn for one in loaded.conversations for turn in one.turns]
    assert len(turns) == len(calls) == counts["turns"]
    assert counts["listed_blocks"] == sum(len(call["hash_ids"]) for call in calls)
    sizes = sorted((call["in"], call["out"]) for call in calls)
    assert sorted((turn.prompt_tokens, len(turn.reply_ids)) for turn in turns) == sizes
    if all(one["hash_id_scope"] == "local" for one in sessions):
        assert counts["distinct_blocks"] == sum(
            len({(call["model"], id) for agent in agents_of(one) for call in agent for id in call["hash_ids"]})
            for one in sessions
        )


def agents_of(session: dict[str, Any]) -> list[list[Any]]:
    subagents = [one["requests"] for one in session["requests"] if one["type"] == "subagent"]
    return [[one for one in session["requests"] if one["type"] != "subagent"], *subagents]


def documents_of(data: bytes) -> list[Any]:
    """Objects of a file: those of an array, or one after another, with or without line ends between them."""
    text = text_of(data).strip()
    if text.startswith("["):
        return list(plain_json(text))
    found, at = [], 0
    while at < len(text):
        _, end = json.JSONDecoder().raw_decode(text, at)
        found.append(plain_json(text[at:end]))
        at = end + len(text[end:]) - len(text[end:].lstrip())
    return found


def check_text_log(data: bytes, loaded: LoadedDataset) -> None:
    rows = documents_of(data)
    found = [(one.id, turn.prompt, turn.response) for one in loaded.conversations for turn in one.turns]  # type: ignore[union-attr]
    assert sorted(found) == sorted((row["session_id"], row["input"], row["output"]) for row in rows)
    assert loaded.counts["turns"] == len(rows)
    first = min(row["timestamp"] for row in rows)
    times = sorted(turn.timestamp_s or 0.0 for one in loaded.conversations for turn in one.turns)
    assert times == pytest.approx(sorted((row["timestamp"] - first) / 1e6 for row in rows))


def check_aiperf(data: bytes, loaded: LoadedDataset) -> None:
    so_far: Counter[Any] = Counter()
    expected = []
    for row in rows_of(data):
        assert row.get("hash_id_scope") in (None, "global", "local")
        if row.get("session_id") is None:
            expected.append(row["input_length"])
            continue
        so_far[row["session_id"]] += row["input_length"]
        expected.append(so_far[row["session_id"]])
        so_far[row["session_id"]] += row["output_length"]
    found = [turn for one in loaded.conversations for turn in one.turns]
    assert sorted(turn.prompt_tokens for turn in found) == sorted(expected)  # type: ignore[union-attr]
    assert all(len(turn.new_ids.tolist()) == turn.prompt_tokens for turn in found)  # type: ignore[union-attr]
    assert all((turn.timestamp_s or 0.0) >= 0 for turn in found)


CALL = {"t": 0, "type": "n", "model": "m", "in": 9, "out": 2, "hash_ids": [1, 2], "think_time": 0.5}
SUBAGENT = {"t": 4, "type": "subagent", "agent_id": "x", "subagent_type": "Explore", "requests": [CALL]}
SESSION = {"id": "a", "block_size": 4, "hash_id_scope": "local", "tool_tokens": 4, "system_tokens": 1}
LOG_ROW = {"timestamp": 1_760_995_776_640_783, "session_id": "a", "input": "Hi", "output": "Hello"}
AGENT_SOURCES: tuple[Source, ...] = (
    Source(
        "claude_code",
        ({**SESSION, "requests": [CALL, {**CALL, "t": 2}]}, {**SESSION, "id": "b", "requests": [CALL, SUBAGENT]}),
        True, ClaudeCode, check_claude_code,
    ),
    Source(
        "text_log", (LOG_ROW, {**LOG_ROW, "session_id": "b"}, {**LOG_ROW, "input": ""}), True, TextLog, check_text_log
    ),
    Source(
        "aiperf",
        (
            {**BLOCK_ROW, "session_id": "s", "group_id": 4},
            {"session_id": "s", "input_length": 5, "output_length": 3, "hash_ids": [7, 8], "delay": 5.5},
            {**BLOCK_ROW, "session_id": "t", "hash_id_scope": "local"},
        ),
        True, blocks, check_aiperf,
    ),
)  # fmt: skip

SYSTEM, ASKED = (
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
)
FUNCTION = {"name": "find", "arguments": '{"q": 1}'}
CALLED = {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function", "function": FUNCTION}]}
FOUND, ANSWERED = {"role": "tool", "tool_call_id": "c", "content": "it"}, {"role": "assistant", "content": "Found."}
TOOL = {"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}
USAGE = {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}
TALK = {"id": "a", "messages": [SYSTEM, ASKED, CALLED, FOUND, ANSWERED], "tools": [TOOL]}
TRAJECTORY = {"task_id": 3, "trial": 0, "traj": [SYSTEM, ASKED, CALLED, FOUND, ANSWERED]}
API_CALL = {
    "session_id": "s", "created": 1_718_000_000,
    "request": {"model": "m", "messages": [SYSTEM, ASKED], "tools": [TOOL], "cache_salt": "z"},
    "response": {"status_code": 200, "body": {"choices": [{"index": 0, "message": CALLED}], "usage": USAGE}},
}  # fmt: skip
NEXT_CALL = {
    "session_id": "s", "created": 1_718_000_060.5,
    "request": {"model": "m", "messages": [SYSTEM, ASKED, CALLED, FOUND]},
    "response": {"choices": [{"message": ANSWERED}]},
}  # fmt: skip
CHAT_READ = {"id", "messages", "traj", "tools", "task_id", "trial", "session_id", "created", "request", "response"}
CHAT_READ |= {"model", "cache_salt"}
MESSAGE_READ = {"role", "content", "tool_calls", "tool_call_id"}

Said = tuple[str, str | None, tuple[tuple[str, str], ...]]
"""Role, text, and name and arguments of each call."""


def said(message: Message) -> Said:
    text = None if message.content is None else message.text
    return message.role, text, tuple((call.name, call.arguments) for call in message.tool_calls)


def plainly(raw: dict[str, Any]) -> Said | None:
    """The same, of a message as it stands in the file; None where its role is unknown."""

    def whole(text: str) -> str:
        return re.sub("[\ud800-\udfff]", "\ufffd", text)

    role = raw["role"].strip().lower()
    if role not in ("system", "developer", "user", "assistant", "tool", "function"):
        return None
    content = raw.get("content")
    if isinstance(content, list):
        content = "".join(part if isinstance(part, str) else part["text"] for part in content if not is_other(part))
    calls = [call["function"] for call in raw.get("tool_calls") or ()]
    # json.dumps writes an argument that is no text; a null is an empty object
    arguments = [one.get("arguments") for one in calls]
    texts = ["{}" if one is None else one if isinstance(one, str) else json.dumps(one) for one in arguments]
    named = tuple((whole(call["name"]), whole(text)) for call, text in zip(calls, texts, strict=True))
    return role, None if content is None else whole(content), named


def is_other(part: Any) -> bool:
    """Whether a part is of an unknown type, and so is left out."""
    return isinstance(part, dict) and part.get("type") not in (None, "text")


def known(messages: list[dict[str, Any]]) -> list[Said]:
    return [one for one in map(plainly, messages) if one is not None]


def check_chat(data: bytes, loaded: LoadedDataset) -> None:
    check_chat_rows(documents_of(data), loaded)


def check_chat_rows(rows: list[dict[str, Any]], loaded: LoadedDataset) -> None:
    """The prompts are those of the file, all of them, and what is left out has a count."""
    counts = loaded.counts
    assert counts["rows"] == len(rows)
    calls = any(note.startswith("each row was read as an API call") for note in loaded.notes)
    expected: list[list[Said]] = []
    spoken: list[dict[str, Any]] = []
    messages = unknown = after = failed = empty = silent = usages = others = 0
    for row in rows:
        inner = row.get("request", row)
        listed = inner["traj"] if "traj" in inner else inner["messages"]
        talk = known(listed)
        messages += len(listed)
        contents = [one["content"] for one in listed if isinstance(one.get("content"), list) and plainly(one)]
        others += sum(map(is_other, itertools.chain.from_iterable(contents)))
        unknown += len(listed) - len(talk)
        response = row.get("response") or {}
        body = response.get("body") or response if isinstance(response, dict) else {}
        status = response.get("status_code") if isinstance(response, dict) else None
        choices = body.get("choices") or []
        replied = [{"role": "assistant"} | (choices[0].get("message") or {})] if choices else []
        unknown += len(replied) - len(known(replied))
        spoken += [one for one in (*listed, *replied) if plainly(one)]
        if type(status) is int and status >= 400:
            failed += 1
        elif not talk:
            empty += 1
        elif calls:
            expected.append(talk)
            usages += isinstance(body, dict) and body.get("usage") not in (None, {})
        else:
            ends = [index for index, one in enumerate(talk) if one[0] == "assistant" and index]
            expected += [talk[:end] for end in ends]
            after += len(talk) - (ends[-1] + 1 if ends else 0)
            silent += not ends
    assert counts["messages"] == messages
    assert counts["dropped_other_parts"] == others
    assert (counts["dropped_unknown_role"], counts["failed_calls"], counts["empty_rows"]) == (unknown, failed, empty)
    assert (counts["dropped_after_last_reply"], counts["conversations_without_reply"]) == (after, silent)
    conversations = [one for one in loaded.conversations if isinstance(one, Conversation)]
    assert len({one.id for one in conversations}) == len(conversations) == counts["conversations"]
    found = [[*map(said, prompt)] for one in conversations for prompt in one.prompt_messages()]
    if counts["replies_in_messages"]:
        replies = [turn.reply for one in conversations for turn in one.turns]
        found = [[*prompt, said(reply)] for prompt, reply in zip(found, replies, strict=True) if reply is not None]
    assert sorted(found, key=repr) == sorted(expected, key=repr)
    turns = [turn for one in conversations for turn in one.turns]
    assert counts["turns"] == len(turns) == len(expected)
    assert counts["turns_with_usage"] + counts["unusable_usage"] >= usages >= counts["turns_with_usage"]
    times = [row["created"] for row in rows if row.get("created") not in (None, "")]
    if calls and not failed + empty:
        first = min(times, default=0)
        told = sorted(turn.timestamp_s for turn in turns if turn.timestamp_s is not None)
        assert told == pytest.approx([time - first for time in sorted(times)])
    objects = [fields for row in rows for fields in (row, row.get("request", {}))]
    fields = [(key, value) for one in objects for key, value in one.items() if key not in CHAT_READ]
    fields += [(key, value) for one in spoken for key, value in one.items() if key not in MESSAGE_READ]
    check_ignored(loaded, [key for key, value in fields if value not in (None, "", [], {})])


CHAT_SOURCES: tuple[Source, ...] = (
    Source("chat", (TALK, {**TALK, "id": "b", "messages": [ASKED, ANSWERED]}), True, Chat, check_chat),
    Source("chat_array", (TRAJECTORY, {**TRAJECTORY, "trial": 1}), False, Chat, check_chat),
    Source("chat_calls", (API_CALL, NEXT_CALL), True, Chat, check_chat),
)
PLAIN = {"role": "user", "content": "Hi"}
"""A column of a Parquet file holds texts or lists, not both."""
PARQUET_SOURCES: tuple[Source, ...] = (
    Source("chat", tuple({"id": id, "messages": [SYSTEM, PLAIN, ANSWERED]} for id in "ab"), True, Chat, check_chat),
    Source(
        "chat_calls",
        (
            {**API_CALL, "request": {"model": "m", "messages": [SYSTEM, PLAIN]}},
            {**NEXT_CALL, "request": {"model": "m", "messages": [SYSTEM, PLAIN, CALLED, FOUND]}},
        ),
        True, Chat, check_chat,
    ),
)  # fmt: skip
ALL_SOURCES = (*SOURCES, *AGENT_SOURCES, *CHAT_SOURCES)


def changed_rows(source: Source) -> Iterator[tuple[str, bytes]]:
    """Rows with one field replaced, taken out, doubled, renamed or added, and rows in another order."""
    sound = [json.dumps(row) for row in source.rows]
    for at, row in enumerate(source.rows):
        for path in field_paths(row):
            before, behind = _around(source, at, path)
            for value in VALUES if at == 1 else VALUES[::7]:
                # surrogatepass: a lone surrogate in the text itself makes bytes that are no UTF-8
                data = f"{before}{value}{behind}".encode("utf-8", "surrogatepass")
                yield f"row {at} {path}={value[:20]!r}", data
        for key in row:
            left = {name: value for name, value in row.items() if name != key}
            twice = json.dumps(row)[:-1] + f", {json.dumps(key)}: {json.dumps(row[key])}}}"
            renamed = json.dumps({**left, key.upper(): row[key]})
            for what, made in (("without", json.dumps(left)), ("twice", twice), ("renamed", renamed)):
                yield f"row {at} {what} {key}", source.text([*sound[:at], made, *sound[at + 1 :]]).encode()
        for field in FIELDS:
            made = json.dumps({**row, field: 1})
            yield f"row {at} with {field[:20]!r}", source.text([*sound[:at], made, *sound[at + 1 :]]).encode()
    yield "rows reversed", source.text(sound[::-1]).encode()
    yield "a row twice", source.text([*sound, sound[0]]).encode()
    yield "without the first row", source.text(sound[1:]).encode()
    for value in VALUES:
        yield f"a row is {value[:20]!r}", source.text([*sound, value]).encode("utf-8", "surrogatepass")
        yield f"the file is {value[:20]!r}", value.encode("utf-8", "surrogatepass")


def field_paths(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The place of every value in a row."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield (*before, key)
        yield from field_paths(one, (*before, key))


def _around(source: Source, at: int, path: tuple[Any, ...]) -> tuple[str, str]:
    """The file before and behind a value."""
    rows = json.loads(json.dumps(source.rows))
    place = rows[at]
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = "PUT HERE"
    before, _, behind = source.text([json.dumps(row) for row in rows]).partition('"PUT HERE"')
    return before, behind


def changed_bytes(source: Source) -> Iterator[tuple[str, bytes]]:
    """The file cut, damaged, encoded or packed otherwise."""
    sound, packed = source.sound, gzip.compress(source.sound, mtime=0)
    chosen = random.Random(9)
    yield "sound", sound
    yield "packed", packed
    for end in sorted(chosen.sample(range(len(sound)), 25)):
        yield f"cut at {end}", sound[:end]
    for end in sorted(chosen.sample(range(len(packed)), 15)):
        yield f"packed, cut at {end}", packed[:end]
    for at in sorted(chosen.sample(range(2, len(packed)), 25)):
        yield f"packed, byte {at} flipped", packed[:at] + bytes([packed[at] ^ 0xFF]) + packed[at + 1 :]
    for at in chosen.sample(range(len(sound)), 15):
        for put in (b"\0", b"\xff", b"\xed\xa0\x80", b"\x1f", b"\xc3"):
            yield f"{put!r} put at {at}", sound[:at] + put + sound[at:]
    for mark in b'{}[]:,"':
        at = sound.rindex(bytes([mark])) if bytes([mark]) in sound else 0
        yield f"{chr(mark)} taken out", sound[:at] + sound[at + 1 :]
        yield f"{chr(mark)} doubled", sound[:at] + bytes([mark]) + sound[at:]
    yield "packed, garbage behind", packed + b"garbage"
    yield "packed, zeros behind", packed + b"\0" * 100
    yield "packed twice over", gzip.compress(packed)
    yield "packed in two members", gzip.compress(sound[:20]) + gzip.compress(sound[20:])
    yield "gzip's first bytes only", b"\x1f\x8b"
    yield "another packer's bytes", b"PK\x03\x04" + sound
    yield "empty", b""
    yield "packed, empty", gzip.compress(b"")
    for blank in (b" ", b"\n" * 999, b"\xef\xbb\xbf", b"\xef\xbb\xbf\n", b"\0" * 100, b"\r\r"):
        yield f"only {blank[:4]!r}", blank
    yield "byte order mark", b"\xef\xbb\xbf" + sound
    yield "two byte order marks", b"\xef\xbb\xbf" * 2 + sound
    for encoding in ("utf-16", "utf-16-le", "utf-32", "utf-7"):
        yield encoding, sound.decode().encode(encoding)
    yield "carriage returns and line feeds", sound.replace(b"\n", b"\r\n")
    yield "carriage returns", sound.replace(b"\n", b"\r")
    yield "mixed line ends", sound.replace(b"\n", b"\r\n", 1) + b"\r\n\n \t\r\n"
    yield "blank lines", b"\n\n" + sound.replace(b"\n", b"\n \n")
    yield "twice", sound + sound
    yield "without line ends", sound.replace(b"\n", b"")
    yield "zeros behind", sound + b"\0" * 512
    yield "a comment", b"# comment\n" + sound
    yield "a trailing comma", sound.rstrip()[:-1] + b"," + sound.rstrip()[-1:]


def _with_long_texts(row: Any) -> Any:
    """The row with texts of some 5,000 characters: 64 MB of short ones take a quarter of a minute to read."""
    if isinstance(row, list):
        return [_with_long_texts(item) for item in row]
    if not isinstance(row, dict):
        return row
    return {
        key: item * 1500 if key in ("value", "content") and isinstance(item, str) else _with_long_texts(item)
        for key, item in row.items()
    }


def bombs(source: Source) -> Iterator[tuple[str, bytes]]:
    """Small gzip files of 100 MB."""
    size = 100 << 20
    row = json.dumps(_with_long_texts(source.rows[0])).encode() + (b"\n" if source.lines else b",\n")
    for what, one in (("spaces", b" "), ("line ends", b"\n"), ("rows", row)):
        packer = zlib.compressobj(6, zlib.DEFLATED, 31)
        piece = one * ((4 << 20) // len(one))
        start = packer.compress(source.sound if len(one) == 1 else b"" if source.lines else b"[")
        packed = b"".join(packer.compress(piece) for _ in range(size // len(piece)))
        yield f"bomb of {what}", start + packed + packer.flush()


def bad_paths(folder: Path) -> Iterator[tuple[str, str]]:
    """What is no file, or no path."""
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(folder / "socket"))
    (folder / "loop").symlink_to(folder / "loop")
    (folder / "dangling").symlink_to(folder / "absent")
    (folder / "to_pipe").symlink_to(folder / "pipe")
    (folder / "file").write_text("{}")
    for name in ("pipe", "socket", "loop", "dangling", "to_pipe", "absent", "file/below", ""):
        yield name or "a folder", str(folder / name)
    yield from (
        (path, path) for path in ("/dev/zero", "/dev/null", "/dev/random", "/proc/self/mem", "~nosuchuser/x", "/")
    )
    yield "a NUL", "a\0b"
    yield "a line feed", "a\nb"
    yield "a long name", "x" * 300
    yield "a long path", "x/" * 5000


class TooLong(BaseException):
    """A case took more than SECONDS."""


def too_long(*_: object) -> None:
    """For SIGALRM."""
    raise TooLong(f"more than {SECONDS} s")


@dataclass
class Tally:
    tried: int = 0
    loaded: int = 0
    lost: tuple[str, ...] = ()

    def refused(self, case: str, message: str) -> None:
        """Count a setting that was refused; the message must be one line that names the key."""
        self.tried += 1
        if not message.startswith("dataset.path: ") or "\n" in message:
            self.lost += (f"{case}: {message[:300]!r}",)

    def attempt(self, case: str, dataset: Dataset, name: str, check: Callable[[LoadedDataset], None]) -> None:
        self.tried += 1
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        try:
            check(dataset.load())
            self.loaded += 1
        except DatasetError as error:
            message = str(error)
            if not message.startswith(f"{name}: ") and not message.startswith(f"{name} "):
                self.lost += (f"{case}: the message does not begin with the file: {message[:300]}",)
            elif not PLACE.search(message) or not message.isprintable() or len(message) > len(name) + 600:
                self.lost += (f"{case}: the message is not one line with a place: {message[:300]!r}",)
        except (Exception, TooLong) as error:
            self.lost += (f"{case}: {type(error).__name__}: {str(error)[:300]}",)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)


@pytest.fixture(scope="module")
def tallies() -> Iterator[list[Tally]]:
    """The tally of each test; at the end the ledger, if there is one, gets a line with their sum."""
    counted: list[Tally] = []
    yield counted
    if ledger := os.environ.get("CACHELAB_FAULTS_LEDGER"):
        tried, lost = sum(one.tried for one in counted), sum(len(one.lost) for one in counted)
        line = {"attack": "broken data files", "tried": tried, "held": tried - lost, "lost": lost}
        with open(ledger, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


@pytest.fixture
def tally(tallies: list[Tally]) -> Iterator[Tally]:
    """Counts the cases of a test, each held to SECONDS."""

    tallies.append(Tally())
    before = signal.signal(signal.SIGALRM, too_long)
    try:
        yield tallies[-1]
    finally:
        signal.signal(signal.SIGALRM, before)


def nothing_to_check(loaded: LoadedDataset) -> None:
    raise AssertionError("it was loaded")


def test_broken_files_load_whole_or_are_refused_in_one_line(tmp_path: Path, tally: Tally) -> None:
    path = tmp_path / "data"
    for source in ALL_SOURCES:
        for case, data in (*changed_bytes(source), *changed_rows(source)):
            path.write_bytes(data)
            dataset = source.dataset(path=str(path))
            tally.attempt(f"{source.name}: {case}", dataset, str(path), lambda loaded: source.check(data, loaded))  # noqa: B023
        path.write_bytes(source.sound)
        small = source.dataset(path=str(path), max_bytes=len(source.sound) - 1)
        tally.attempt(f"{source.name}: max_bytes", small, str(path), nothing_to_check)
    refused = tally.tried - tally.loaded - len(tally.lost)
    print(f"broken data files: tried {tally.tried}, loaded {tally.loaded}, refused {refused}, lost {len(tally.lost)}")
    assert not tally.lost, "\n".join([f"{len(tally.lost)} of {tally.tried} lost", *tally.lost[:40]])
    assert tally.tried >= 1000
    assert tally.loaded >= 200
    assert refused >= 500


def parquet_of(rows: Sequence[Any], **options: Any) -> bytes | None:
    """The rows as a Parquet file; None if they have no common schema."""
    target = io.BytesIO()
    try:
        parquet.write_table(pyarrow.Table.from_pylist(rows), target, **options)
    except (pyarrow.ArrowException, TypeError, AttributeError, OverflowError, UnicodeEncodeError):
        return None
    return target.getvalue()


def changed_parquet(source: Source) -> Iterator[tuple[str, bytes]]:
    """The file cut and damaged, without and with checksums, and files of changed rows."""
    chosen = random.Random(9)
    for checked in (False, True):
        sound = parquet_of(source.rows, write_page_checksum=checked, compression="none") or b""
        assert sound
        yield "sound", sound
        for end in sorted(chosen.sample(range(4, len(sound)), 40)):
            yield f"cut at {end}", sound[:end]
            yield f"starts at {end}", b"PAR1" + sound[end:]
        for at in sorted(chosen.sample(range(4, len(sound)), 400)):
            yield f"byte {at} flipped", sound[:at] + bytes([sound[at] ^ chosen.randrange(1, 256)]) + sound[at + 1 :]
        for at in chosen.sample(range(4, len(sound)), 20):
            yield f"a byte put at {at}", sound[:at] + b"\xff" + sound[at:]
        yield "garbage behind", sound + b"garbage"
        yield "zeros behind", sound + b"\0" * 512
        yield "twice", sound + sound
    yield "only the first bytes", b"PAR1"
    yield "first and last bytes", b"PAR1PAR1"
    yield "no rows", parquet_of([]) or b""
    yield "encrypted", b"PARE" + sound[4:]
    for case, data in changed_rows(source):
        try:
            rows = documents_of(data)
        except (ValueError, AssertionError, RecursionError):
            continue
        if rows and all(isinstance(row, dict) for row in rows) and (made := parquet_of(rows)):
            yield case, made


@pytest.mark.parametrize("source", PARQUET_SOURCES, ids=lambda one: one.name)
def test_broken_parquet_loads_whole_or_is_refused_in_one_line(source: Source, tmp_path: Path, tally: Tally) -> None:
    path = tmp_path / "data.parquet"

    def check(loaded: LoadedDataset) -> None:
        rows = parquet.read_table(path).to_pylist()
        check_chat_rows(rows, loaded)

    for case, data in changed_parquet(source):
        path.write_bytes(data)
        tally.attempt(f"{source.name}: {case}", Chat(path=str(path)), str(path), check)
    assert not tally.lost, "\n".join([f"{len(tally.lost)} of {tally.tried} lost", *tally.lost[:40]])
    assert tally.tried >= 900
    assert tally.loaded >= 20
    assert tally.tried - tally.loaded >= 300


def test_broken_files_are_recognised_or_refused_in_one_line(tmp_path: Path, tally: Tally) -> None:
    path = tmp_path / "data"

    def named(loaded: LoadedDataset) -> None:
        assert loaded.notes[0].startswith(f"{path}: read as dataset={loaded.name} (")
        assert loaded.conversations

    for source in ALL_SOURCES:
        for case, data in changed_bytes(source):
            path.write_bytes(data)
            tally.attempt(f"{source.name}: {case}", Auto(path=str(path)), str(path), named)
    assert not tally.lost, "\n".join([f"{len(tally.lost)} of {tally.tried} lost", *tally.lost[:40]])
    assert tally.loaded >= 60


def test_skipped_rows_are_counted(tmp_path: Path, tally: Tally) -> None:
    path = tmp_path / "data"
    for source in (one for one in SOURCES if one.dataset is blocks):
        for case, data in changed_rows(source):
            path.write_bytes(data)

            def all_counted(loaded: LoadedDataset, data: bytes = data) -> None:
                lines = [line for line in data.split(b"\n") if line.strip()]
                assert loaded.counts["turns"] + loaded.counts["bad_rows"] == len(lines)
                assert loaded.counts["turns"] == sum(len(one.turns) for one in loaded.conversations)

            dataset = BlockTrace(path=str(path), block_size=4, on_bad_row="skip")
            tally.attempt(f"{source.name}, skip: {case}", dataset, str(path), all_counted)
    assert not tally.lost, "\n".join([f"{len(tally.lost)} of {tally.tried} lost", *tally.lost[:40]])
    assert tally.loaded >= 200


def test_skipped_sessions_and_calls_are_counted(tmp_path: Path, tally: Tally) -> None:
    path = tmp_path / "data"

    def sessions(loaded: LoadedDataset) -> None:
        assert loaded.counts["sessions"] + loaded.counts["bad_sessions"] == len(documents_of(path.read_bytes()))

    def rows(loaded: LoadedDataset) -> None:
        left_out = ("bad_rows", "failed_calls", "empty_rows", "conversations_without_reply")
        calls = any(note.startswith("each row was read as an API call") for note in loaded.notes)
        kept = loaded.counts["turns" if calls else "conversations"]
        lines = [line for line in path.read_bytes().split(b"\n") if line.strip()]
        assert kept + sum(loaded.counts[key] for key in left_out) == loaded.counts["rows"] == len(lines)

    skipping: list[tuple[Source, dict[str, str], Callable[[LoadedDataset], None]]] = [
        (AGENT_SOURCES[0], {"on_bad_session": "skip"}, sessions),
        (CHAT_SOURCES[0], {"on_bad_row": "skip"}, rows),
        (CHAT_SOURCES[2], {"on_bad_row": "skip"}, rows),
    ]
    for source, options, check in skipping:
        for case, data in changed_rows(source):
            path.write_bytes(data)
            tally.attempt(f"{source.name}, skip: {case}", source.dataset(path=str(path), **options), str(path), check)
    assert not tally.lost, "\n".join([f"{len(tally.lost)} of {tally.tried} lost", *tally.lost[:40]])
    assert tally.loaded >= 600


def test_bombs_are_refused_in_little_memory(tmp_path: Path, tally: Tally) -> None:
    path = tmp_path / "data"
    # A process for each bomb: memory that an earlier one gave back would hide what this one takes.
    with ProcessPoolExecutor(1, get_context("forkserver"), max_tasks_per_child=1) as pool:
        for number in (*range(3), *(ALL_SOURCES.index(source) for source in CHAT_SOURCES[:2])):
            for case, data in bombs(ALL_SOURCES[number]):
                assert len(data) < 2 << 20
                path.write_bytes(data)
                lost, peak = pool.submit(defused, number, case, str(path)).result()
                tally.tried += 1
                tally.lost += lost
                # resident, with numba where its loops read the file; the 64 MB before the ratio counts are in it too
                assert peak < 400 << 20, f"{ALL_SOURCES[number].name}: {case}: {peak >> 20} MB"
    assert not tally.lost, "\n".join(tally.lost)


def defused(number: int, case: str, path: str) -> tuple[tuple[str, ...], int]:
    """What is lost when the source of that number reads the file, and the most bytes that reading it adds."""
    signal.signal(signal.SIGALRM, too_long)
    tally, source = Tally(), ALL_SOURCES[number]
    before = psutil.Process().memory_info().rss
    tally.attempt(f"{source.name}: {case}", source.dataset(path=path), path, nothing_to_check)
    return tally.lost, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before


def test_what_is_no_file_is_refused_at_once(tmp_path: Path, tally: Tally) -> None:
    for case, path in bad_paths(tmp_path):
        quoted = repr(path)
        name = quoted if len(quoted) <= 60 else f"{quoted[:57]}..."
        name = path if path.isprintable() and len(path) <= 300 else name
        for source in SOURCES[:3]:
            try:
                dataset = source.dataset(path=path)
            except ValidationError as error:  # a path that cannot exist is refused before anything is read
                tally.refused(f"{source.name}: {case}", format_finding(error, "dataset"))
                continue
            tally.attempt(f"{source.name}: {case}", dataset, name, nothing_to_check)
    assert not tally.lost, "\n".join(tally.lost)
