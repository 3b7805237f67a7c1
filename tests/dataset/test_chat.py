"""dataset=chat: where messages stand, what a row is, which calls make a conversation, and every break in one line."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachelab.conversation import Conversation
from cachelab.dataset.base import LoadedDataset
from cachelab.dataset.chat import COUNTS, Chat, ChatLog
from cachelab.errors import DatasetError
from cachelab.message import Isolation, LoggedUsage, Message

Load = Callable[..., LoadedDataset]
Exchange = tuple[tuple[Message, ...], Message | None]

S, U, V = ({"role": role, "content": text} for role, text in (("system", "s"), ("user", "u"), ("user", "v")))
A, B = ({"role": "assistant", "content": text} for text in "ab")
TALK = [S, U, A, V, B]
TOOLS = [{"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}]


def message(raw: dict[str, Any]) -> Message:
    return Message(raw["role"], raw["content"])


TALKED: list[Exchange] = [((message(S), message(U)), message(A)), (tuple(map(message, TALK[:4])), message(B))]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Reads rows as JSON Lines under the settings given."""

    def loaded(log: Sequence[Any], /, **settings: Any) -> LoadedDataset:
        path = tmp_path / "log.jsonl"
        path.write_text("\n".join(map(json.dumps, log)))
        dataset = Chat(path=str(path), **settings).load()
        assert set(dataset.counts) == set(COUNTS)
        return dataset

    return loaded


def exchanges(dataset: LoadedDataset) -> list[list[Exchange]]:
    """Prompt and reply of every request, by conversation."""
    return [
        list(zip(conversation.prompt_messages(), (turn.reply for turn in conversation.turns), strict=True))
        for conversation in dataset.conversations
        if isinstance(conversation, Conversation)
    ]


def counted(dataset: LoadedDataset) -> dict[str, int]:
    """The counts that are not 0, without those that every log has."""
    usual = ("rows", "messages", "conversations", "turns")
    return {key: count for key, count in dataset.counts.items() if count and key not in usual}


@pytest.mark.parametrize(
    "row",
    [
        {"messages": TALK},
        {"conversation": TALK},
        {"conversations": [{"from": m["role"], "value": m["content"]} for m in TALK]},
        {"traj": TALK},
        {"history": TALK},
        {"messages": json.dumps(TALK)},
        {"system": "s", "messages": TALK[1:]},
    ],
)
def test_conversation_under_each_known_field(load: Load, row: dict[str, Any]) -> None:
    dataset = load([row | {"id": "x"}])
    assert exchanges(dataset) == [TALKED]
    assert [conversation.id for conversation in dataset.conversations] == ["x"]


@pytest.mark.parametrize(
    "wrap",
    [
        lambda prompt, reply: {"messages": prompt, "response": reply},
        lambda prompt, reply: {"body": {"messages": prompt}, "response": {"status_code": 200, "body": reply}},
        lambda prompt, reply: {"request": {"messages": prompt}, "response": reply},
        lambda prompt, reply: {"request": {"body": {"messages": prompt}}, "response": {"body": reply}},
        lambda prompt, reply: {"request": json.dumps({"messages": prompt}), "response": json.dumps(reply)},
        lambda prompt, reply: {"messages": prompt, "output": reply},
        lambda prompt, reply: {"messages": [*prompt, reply["choices"][0]["message"]]},
        lambda prompt, reply: {"request": {"system": "s", "messages": prompt[1:]}, "response": reply},
    ],
)
def test_calls_under_each_known_field(load: Load, wrap: Callable[[Any, Any], dict[str, Any]]) -> None:
    rows = [wrap(TALK[:2], {"choices": [{"message": A}]}), wrap(TALK[:4], {"choices": [{"message": B}]})]
    assert exchanges(load(rows)) == [TALKED]


def test_fields_of_other_names(load: Load) -> None:
    rows = [
        {"a": {"b": TALK[:2]}, "t": TOOLS, "r": A, "who": "x", "at": 1.5},
        {"a": {"b": TALK[:4]}, "t": TOOLS, "r": B, "who": "x", "at": 4},
    ]
    dataset = load(
        rows, messages_field="a.b", tools_field="t", response_field="r", conversation_field="who", time_field="at",
        timestamp_unit="s",
    )  # fmt: skip
    assert exchanges(dataset) == [TALKED]
    (conversation,) = dataset.conversations
    assert isinstance(conversation, Conversation)
    assert conversation.id == "x"
    assert [turn.timestamp_s for turn in conversation.turns] == [0.0, 2.5]
    assert all(list(turn.tools) == TOOLS for turn in conversation.turns)
    assert counted(dataset) == {"turns_with_time": 2}


@pytest.mark.parametrize(
    "tools",
    [
        {"tools": TOOLS},
        {"functions": [TOOLS[0]["function"]]},
        {"tools": [{"type": "function", **TOOLS[0]["function"]}]},  # type: ignore[dict-item]
        {"tools": [{"name": "find", "input_schema": {"type": "object"}}]},
        {"tools": json.dumps(TOOLS)},
    ],
)
def test_tools_of_each_form(load: Load, tools: dict[str, Any]) -> None:
    for row in ({"messages": TALK} | tools, {"request": {"messages": TALK[:2]} | tools, "response": A}):
        (conversation,) = load([row]).conversations
        assert isinstance(conversation, Conversation)
        assert all(list(turn.tools) == TOOLS for turn in conversation.turns)


def test_a_conversation_has_one_request_per_reply(load: Load) -> None:
    dataset = load([{"traj": [A, U, A, B, V]}, {"traj": [U]}, {"traj": []}])
    a, b, u = message(A), message(B), message(U)
    assert exchanges(dataset) == [[((a, u), a), ((a, u, a), b)]]
    assert counted(dataset) == {
        "replies_without_prompt": 1, "dropped_after_last_reply": 2, "conversations_without_reply": 1, "empty_rows": 1,
        "missing_ids": 1,
    }  # fmt: skip


def test_calls_with_an_id_belong_to_it(load: Load) -> None:
    rows = [
        {"session_id": "x", "messages": TALK[:2], "response": A},
        {"metadata": {"session_id": 7}, "messages": [U], "response": A},
        {"session_id": "x", "messages": [V], "response": B},
        {"messages": [V], "response": B},
    ]
    dataset = load(rows)
    assert [conversation.id for conversation in dataset.conversations] == ["x", "7", "conversation_00003"]
    assert [len(conversation) for conversation in exchanges(dataset)] == [2, 1, 1]
    assert counted(dataset) == {"missing_ids": 1}


def test_a_call_without_an_id_follows_the_call_that_it_extends(load: Load) -> None:
    other = {"role": "assistant", "content": "other"}
    rows = [
        {"messages": [S, U], "response": A},
        {"messages": [S, U], "response": other},  # the same prompt again: another conversation
        {"messages": [S, U, A, V], "response": B},  # of the first, by its reply
        {"messages": [S, U, A, U], "response": B},  # the first has been continued: a branch
        {"messages": [S, U, other, V], "response": B},  # of the second
        {"messages": [U], "response": None},
        {"messages": [U, A, V], "response": B},  # holds the reply of the one before
        {"messages": [U, B, V, A, U], "response": None},  # extends no reply that is there
    ]
    dataset = load(rows)
    assert [len(conversation) for conversation in exchanges(dataset)] == [2, 2, 1, 2, 1]
    assert exchanges(dataset)[3][0] == ((message(U),), message(A))
    assert counted(dataset) == {
        "repeated_prompts": 1, "branches": 2, "replies_from_next_call": 1, "turns_without_reply": 1,
    }  # fmt: skip


def test_replies_that_stand_in_the_messages(load: Load) -> None:
    rows = [{"messages": TALK[:3]}, {"messages": TALK}]
    dataset = load(rows, rows="request")
    assert exchanges(dataset) == [TALKED]
    assert counted(dataset) == {"replies_in_messages": 2}
    # One prompt that does not end with a reply: all are as they were sent.
    as_sent = exchanges(load([*rows, {"messages": [V]}], rows="request"))
    assert [[prompt for prompt, _ in talk] for talk in as_sent] == [
        [tuple(map(message, TALK[:3])), tuple(map(message, TALK))], [(message(V),)],
    ]  # fmt: skip


def test_calls_are_taken_in_the_order_of_their_times(load: Load) -> None:
    rows = [
        {"messages": TALK[:4], "response": B, "created": 1_718_000_060},
        {"messages": TALK[:2], "response": A, "created": 1_718_000_000},
    ]
    dataset = load(rows)
    assert exchanges(dataset) == [TALKED]
    assert counted(dataset) == {"reordered_calls": 2, "turns_with_time": 2}
    assert "times: numbers are seconds (recognised by their size)" in dataset.notes
    del rows[0]["created"]
    assert [len(conversation) for conversation in exchanges(load(rows))] == [1, 1]


def test_times_of_messages_come_before_the_rows(load: Load) -> None:
    timed = [m | {"timestamp": f"2024-06-10T06:00:{second:02}Z"} for second, m in enumerate(TALK)]
    (conversation,) = load([{"conversation": timed, "timestamp": "2024-06-10T05:00:00Z"}]).conversations
    assert isinstance(conversation, Conversation)
    assert [turn.timestamp_s for turn in conversation.turns] == [0.0, 2.0]


def test_usage_of_calls(load: Load) -> None:
    usage = {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 4}}
    rows = [
        {"messages": TALK[:2], "response": {"choices": [{"message": A}], "usage": usage}},
        {"messages": TALK[:4], "response": B, "usage": usage},
    ]
    dataset = load(rows)
    (conversation,) = dataset.conversations
    assert isinstance(conversation, Conversation)
    assert [turn.usage for turn in conversation.turns] == [LoggedUsage(9, 4)] * 2
    assert counted(dataset) == {"turns_with_usage": 2}


def test_isolation_of_calls(load: Load) -> None:
    row = {"request": {"messages": [U], "model": "m", "cache_salt": "z"}, "lora_name": "l", "who": {"tenant": 3}}

    def isolation(**settings: Any) -> Isolation | None:
        (conversation,) = load([row], **settings).conversations
        assert isinstance(conversation, Conversation)
        return conversation.turns[0].isolation

    assert isolation() == Isolation("z", "l", "m")
    assert isolation(isolation="who.tenant") == Isolation("z\n3", "l", "m")
    del row["request"]["cache_salt"]  # type: ignore[attr-defined]
    assert isolation(isolation="who.tenant") == Isolation("3", "l", "m")
    dataset = load([row, {"messages": [V], "response": A}], isolation="who.tenant")
    assert dataset.counts["rows_without_isolation"] == 1
    assert load([{"messages": TALK}]).conversations[0].turns[0].isolation is None


def test_isolation_does_not_change_the_conversations(load: Load) -> None:
    rows = [{"messages": TALK[:2], "response": A, "t": 1}, {"messages": TALK[:4], "response": B, "t": 2}]
    assert exchanges(load(rows, isolation="t")) == exchanges(load(rows)) == [TALKED]


def test_fields_of_rows_for_grouping(load: Load) -> None:
    rows = [{"messages": TALK, "route": "a", "meta": {"n": 2, "ok": True}}, {"messages": TALK, "route": None}]
    first, second = load(rows, fields=["route", "meta.n", "meta.ok"]).conversations
    assert first.turns[0].fields == {"route": "a", "meta.n": "2", "meta.ok": "true"}
    assert second.turns[0].fields == {}


def test_what_is_left_out_is_counted_and_named(load: Load) -> None:
    rows = [
        {"messages": TALK, "temperature": 1, "unknown": "x", "nothing": None, "id": "a"},
        {"messages": [*TALK, {"role": "critic", "content": "c"}], "unknown": 2, "id": "a"},
    ]
    dataset = load(rows, rows="conversation")
    assert counted(dataset) == {
        "ignored_fields": 2, "ignored_values": 3, "dropped_unknown_role": 1, "duplicate_ids": 1,
    }  # fmt: skip
    assert [conversation.id for conversation in dataset.conversations] == ["a", "a#2"]
    assert dataset.notes[-1] == "fields of the dataset that were not read (how often): unknown (2), temperature (1)"


def test_failed_calls_and_bad_rows_are_left_out_and_counted(load: Load) -> None:
    rows: list[Any] = [
        {"body": {"messages": [U]}, "response": {"status_code": 429, "body": {}}},
        {"body": {"messages": [U]}, "response": {"status_code": 200, "body": A}},
        {"body": {"messages": [U]}, "response": 3},
    ]
    with pytest.raises(DatasetError, match=r"log\.jsonl: line 3: field response is a number, not a response"):
        load(rows)
    dataset = load(rows, on_bad_row="skip")
    assert counted(dataset) == {"failed_calls": 1, "bad_rows": 1}
    assert any(note.startswith("bad rows left out: 1; the first: ") for note in dataset.notes)


@pytest.mark.parametrize(
    ("rows", "kind"),
    [
        ([{"messages": TALK}, {"messages": [U, B]}], "a conversation (rows end with a reply)"),
        ([{"messages": [U]}, {"messages": [S, V]}], "an API call (rows end without a reply)"),
        ([{"messages": [U, A]}, {"messages": [U, A, V, B]}], "an API call ({path}: line 2 continues an earlier row)"),
        ([{"traj": [U, A, V]}], "a conversation ({path}: line 1 has the field that holds its messages)"),
        ([{"messages": [U], "response": A}], "an API call ({path}: line 1 has a response)"),
    ],
)
def test_what_rows_are_is_recognised_and_said(load: Load, tmp_path: Path, rows: list[Any], kind: str) -> None:
    assert load(rows).notes[0] == f"each row was read as {kind.format(path=tmp_path / 'log.jsonl')}"


def test_a_response_in_a_row_read_as_conversation_is_its_last_reply(load: Load) -> None:
    assert exchanges(load([{"messages": TALK[:4], "response": B}], rows="conversation")) == [TALKED]


def test_the_digest_tells_settings_apart(load: Load) -> None:
    rows = [{"messages": TALK, "t": "x"}]
    settings: list[dict[str, Any]] = [{}, {"rows": "request"}, {"isolation": "t"}, {"fields": ["t"]}]
    assert len({load(rows, **one).digest for one in settings}) == 4
    assert load(rows).digest == load(rows).digest != load([*rows, *rows]).digest


def test_standard_input_and_a_folder_of_files(tmp_path: Path) -> None:
    for index, talk in enumerate([TALK, [U, B]]):
        (tmp_path / f"{index}.traj").write_text(json.dumps({"history": talk}, indent=2))
    (tmp_path / "notes.txt").touch()
    dataset = Chat(path=str(tmp_path)).load()
    assert exchanges(dataset) == [TALKED, [((message(U),), message(B))]]
    assert dataset.counts["skipped_files"] == 1


GOOD = {"messages": TALK}


@pytest.mark.parametrize(
    ("rows", "settings", "message"),
    [
        ([3], {}, "line 1 is not an object: write a JSON array"),
        ([GOOD, [1]], {}, "line 2 is an array, not an object"),
        ([{"text": "x"}], {}, "line 1: no field holds messages (there are: text): set dataset.messages_field"),
        ([GOOD], {"messages_field": "chat.turns"}, "line 1: no field chat.turns, which dataset.messages_field names"),
        ([{"messages": "x"}], {}, "line 1: field messages is text, not a list of messages"),
        ([{"messages": {}}], {}, "line 1: field messages is an object, not a list of messages"),
        ([GOOD | {"conversation": TALK}], {}, "line 1: fields messages and conversation hold messages: set dataset.me"),
        ([{"messages": [3]}], {}, "line 1: messages[0] is a number, not a message"),
        ([{"messages": [{"content": "x"}]}], {}, "line 1: messages[0] has no role"),
        ([{"messages": [{"role": "user", "content": 3}]}], {}, "line 1: messages[0].content is a number"),
        ([GOOD | {"tools": "x"}], {}, "line 1: field tools is text, not a list of tool definitions"),
        ([GOOD | {"tools": [3]}], {}, "line 1: field tools[0] is a number, not a tool definition"),
        ([GOOD | {"tools": [{"type": "web_search"}]}], {}, "line 1: field tools[0] has no name"),
        ([GOOD | {"session_id": {"a": 1}}], {}, "line 1: field session_id is an object, not text or a number"),
        ([GOOD | {"id": "x" * 300}], {}, "line 1: field id is 'xxx"),
        ([GOOD | {"model": ["m"]}], {}, "line 1: field model is an array, not text or a number"),
        ([GOOD | {"created": "soon"}], {}, "line 1: field created is 'soon', not a time"),
        ([GOOD | {"timestamp": 17}], {}, "line 1: field timestamp is 17, which is no date in s, ms, us or ns"),
        ([GOOD | {"system": "s"}], {}, "line 1: field system and the first message both hold a system text"),
        ([GOOD | {"previous_response_id": "r"}], {}, "line 1: field previous_response_id: the prompt's history is on"),
        ([{"messages": [U], "response": 3}], {}, "line 1: field response is a number, not a response"),
        ([GOOD], {"isolation": "tenant"}, "dataset.isolation=tenant: no row has this field"),
        ([GOOD | {"t": [1]}], {"isolation": "t"}, "line 1: field t is an array, not text or a number"),
        ([GOOD], {"fields": ["route"]}, "explain.by or dataset.fields: no row has the field route: name a field of"),
        (
            [GOOD | {"tenant": "a", "metadata": {"path": "b", "n": {}}}],
            {"fields": ["route"]},
            "name a field of the log's rows (there are: tenant, metadata.path)",
        ),
        ([GOOD | {"route": {}}], {"fields": ["route"]}, "line 1: field route is an object, not text or a number"),
        ([GOOD, {"messages": [V]}], {}, "line 1 ends with the assistant's message, "),
        ([{"traj": TALK}, {"messages": [U], "response": A}], {}, "line 1 is a conversation by its fields, "),
        ([{"messages": []}], {}, "no request is left of 1 rows (1 empty rows): choose a file that holds conversations"),
        ([{"traj": [U]}], {}, "no request is left of 1 rows (1 conversations without reply)"),
        ([{"x": 1}], {"on_bad_row": "skip"}, "no request is left of 1 rows (1 bad rows); the first bad row: "),
    ],
)
def test_bad_input_is_one_line_that_names_the_place(
    load: Load, rows: list[Any], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(DatasetError) as caught:
        load(rows, **settings)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_one_source_must_be_given() -> None:
    for sources in ({}, {"path": "x", "hub": "y"}):
        with pytest.raises(DatasetError, match=r"dataset\.path: set it to a file, a folder or a pattern, or set datas"):
            Chat(**sources).load()  # type: ignore[arg-type]


ROLES = st.sampled_from(["user", "assistant", "tool", "system"])
MESSAGES = st.fixed_dictionaries({"role": ROLES, "content": st.sampled_from(["", "x", "y", "a longer text"])})
TALKS = st.lists(st.lists(MESSAGES, max_size=7), min_size=1, max_size=5)


def read(log: Sequence[dict[str, Any]], /, **settings: Any) -> list[list[Exchange]]:
    reader = ChatLog(Chat(path="x", **settings), Counter(dict.fromkeys(COUNTS, 0)))
    made = reader.read((f"x: line {index}", row) for index, row in enumerate(log, start=1))
    return exchanges(LoadedDataset("x", "x", "x", made, {}))


@given(TALKS, st.sampled_from(["id", "prefix", "no_response"]), st.randoms(use_true_random=False))
def test_calls_and_conversations_of_the_same_traffic_give_the_same_prompts(
    talks: list[list[dict[str, str]]], how: str, random: Any
) -> None:
    # A first message of its own, so that two conversations are never the same calls.
    talks = [[{"role": "system", "content": f"{number}"}, *talk] for number, talk in enumerate(talks)]
    expected = [
        [(tuple(map(message, talk[:end])), message(talk[end])) for end in range(1, len(talk)) if is_reply(talk[end])]
        for talk in talks
    ]
    expected = [conversation for conversation in expected if conversation]
    if not expected:
        return
    calls = [
        [{"messages": talk[:end], "response": talk[end], "session_id": str(number)} for end in ends(talk)]
        for number, talk in enumerate(talks)
    ]
    rows = interleaved(calls, random)
    for row in rows:
        if how != "id":
            del row["session_id"]
        if how == "no_response":
            del row["response"]
    assert read([{"conversation": talk} for talk in talks]) == expected
    found = read(rows, rows="request")
    by_first = {conversation[0][0][0]: conversation for conversation in found}
    assert len(by_first) == len(found) == len(expected)
    for conversation in expected:
        same = by_first[conversation[0][0][0]]
        assert [prompt for prompt, _ in same] == [prompt for prompt, _ in conversation]
        replies = slice(None) if how != "no_response" else slice(-1)  # no later call holds the last reply
        assert [reply for _, reply in same[replies]] == [reply for _, reply in conversation[replies]]


def is_reply(raw: dict[str, str]) -> bool:
    return raw["role"] == "assistant"


def ends(talk: list[dict[str, str]]) -> list[int]:
    return [end for end in range(1, len(talk)) if is_reply(talk[end])]


def interleaved(calls: list[list[dict[str, Any]]], random: Any) -> list[dict[str, Any]]:
    """All calls, each conversation's in their order, in a random order of the conversations."""
    waiting = [list(rows) for rows in calls if rows]
    mixed = []
    while waiting:
        rows = random.choice(waiting)
        mixed.append(rows.pop(0))
        waiting = [rows for rows in waiting if rows]
    return mixed


@pytest.fixture(scope="session")
def agent_traces(repository: Path) -> Path:
    """Real agent workloads; skips where they are absent."""
    path = repository.parent / "shared" / "data" / "agent_traces"
    if not path.exists():
        pytest.skip("the shared data is not on this machine")
    return path


def test_real_tau_bench_as_conversations_and_as_calls(agent_traces: Path, load: Load) -> None:
    path = agent_traces / "tau_bench_airline_60.json"
    dataset = Chat(path=str(path)).load()
    talks = [row["traj"] for row in json.loads(path.read_text())]
    assert (dataset.counts["conversations"], dataset.counts["turns"], dataset.counts["messages"]) == (60, 703, 1526)
    last = [(*talk[-1][0], talk[-1][1]) for talk in exchanges(dataset)]
    assert sum(bool(m.tool_calls) for talk in last for m in talk if m is not None) == 331
    assert len({conversation.id for conversation in dataset.conversations}) == 60
    rows = [
        {"messages": talk[:end], "response": {"choices": [{"message": talk[end]}]}}
        for talk in talks
        for end in ends(talk)
    ]
    calls = load(rows)
    assert len(rows) == calls.counts["turns"] == 703
    assert exchanges(calls) == exchanges(dataset)
    turns = [[conversation.turns for conversation in one.conversations] for one in (dataset, calls)]
    assert turns[0] == turns[1]


def test_real_swe_agent(agent_traces: Path) -> None:
    dataset = Chat(path=str(agent_traces / "swe_agent")).load()
    assert sorted(len(conversation.turns) for conversation in dataset.conversations) == [4, 5, 11]
    assert dataset.counts["ignored_values"] > 0
    assert "thought (20), action (20)" in dataset.notes[-1]


def test_every_count_is_documented(repository: Path) -> None:
    text = (repository / "docs/metrics.md").read_text()
    missing = [key for key in COUNTS if f"`dataset/{key}`" not in text]
    assert not missing


JUNK: st.SearchStrategy[Any] = st.sampled_from(
    [None, 0, -1, 1.5, True, "", "x", "\ud83d", "[1", "{}", [], [1], {}, {"a": 1}, [[]], [None], "x" * 999]
)
WHOLE: list[dict[str, Any]] = [
    {"id": "a", "messages": [S, U, {"role": "assistant", "content": None, "reasoning": "r", "tool_calls": [
        {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "t"}]}, A],
     "tools": TOOLS, "created": 1_718_000_000, "model": "m"},
    {"request": {"system": [{"type": "text", "text": "s"}], "metadata": {"session_id": "x"}, "cache_salt": "z",
                 "messages": [{"role": "user", "content": [{"type": "image", "source": {"data": "QUJD"}}]}]},
     "response": {"status_code": 200, "body": {"choices": [{"message": A}], "usage": {"prompt_tokens": 3}}}},
    {"messages": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}, U,
                  {"type": "reasoning", "summary": [{"type": "summary_text", "text": "r"}]}],
     "response": {"output": [{"type": "message", "role": "assistant", "content": "a"}], "created_at": None}},
]  # fmt: skip


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every container of a JSON value, with each of its keys or indices."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, child in inner for place in ((value, key), *places(child))]


@given(st.sampled_from(WHOLE), st.lists(st.tuples(st.integers(0, 99), JUNK), min_size=1, max_size=3))
def test_any_broken_row_is_read_or_refused_in_one_line(row: dict[str, Any], changes: list[tuple[int, Any]]) -> None:
    row = json.loads(json.dumps(row))
    for number, junk in changes:
        at = places(row)
        container, key = at[number % len(at)]
        container[key] = json.loads(json.dumps(junk))
    message = "x: "
    try:
        read([row])
    except DatasetError as error:
        message = str(error)
    assert message.startswith("x: ")
    assert "\n" not in message


def test_messages_with_reasoning_are_counted(load: Load) -> None:
    thought = {"role": "assistant", "content": "a", "reasoning_content": "r"}
    assert load([{"messages": [U, thought, U, A]}]).counts["messages_with_reasoning"] == 1
    assert load([{"messages": [U, A]}]).counts["messages_with_reasoning"] == 0


def test_calls_whose_arguments_are_no_object_are_counted(load: Load) -> None:
    arguments: list[Any] = ['{"q": 1}', "", None, {}, "q=1", '{"q": ', "[1]", "3", "null"]
    calls = [{"type": "function", "function": {"name": "f", "arguments": one}} for one in arguments]
    dataset = load([{"messages": [U, {"role": "assistant", "content": None, "tool_calls": calls}]}])
    assert dataset.counts["invalid_tool_arguments"] == 5
    (conversation,) = dataset.conversations
    assert isinstance(conversation, Conversation)
    assert conversation.turns[0].reply is not None
    read = [call.arguments for call in conversation.turns[0].reply.tool_calls]
    assert read == ['{"q": 1}', "", "{}", "{}", "q=1", '{"q": ', "[1]", "3", "null"]
    assert load([{"messages": TALK}]).counts["invalid_tool_arguments"] == 0
