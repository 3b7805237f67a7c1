"""Causes of breaks, planted alone into a log of API calls, next to the same log without them."""

import base64
import json
import random
import uuid
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cachelab.explanation import BreakClass

Row = dict[str, Any]
"""One API call: session_id, messages, response and, if needed, tools, model and cache_salt."""

Log = list[Row]


@dataclass(frozen=True)
class Planted:
    """A planted cause: `plant` makes (the log with the cause, the same log without it) of a log."""

    kind: BreakClass
    place: str
    plant: Callable[[Log], tuple[Log, Log]]


def tau_bench(path: Path, conversations: int) -> Log:
    """The calls of the first conversations of tau-bench's trajectories: one for each message of the assistant."""
    rows: Log = []
    for trajectory in json.loads(path.read_text(encoding="utf-8"))[:conversations]:
        messages = [{key: value for key, value in one.items() if value is not None} for one in trajectory["traj"]]
        rows += _calls(f"{trajectory['task_id']}-{trajectory['trial']}", messages)
    return rows


def sharegpt(path: Path, conversations: int) -> Log:
    """The calls of the first conversations of a file in ShareGPT's schema, under a system message."""
    roles = {"human": "user", "gpt": "assistant", "system": "system"}
    rows: Log = []
    for number, item in enumerate(json.loads(path.read_text(encoding="utf-8"))[:conversations]):
        spoken = [{"role": roles[one["from"]], "content": one["value"]} for one in item["conversations"]]
        while spoken and spoken[0]["role"] != "user":
            spoken.pop(0)
        system = {"role": "system", "content": "You are a helpful assistant. Answer in the language of the question.\n"}
        rows += _calls(f"{item['id']}-{number}", [system, *spoken])
    return rows


def made_up(conversations: int, turns: int) -> Log:
    """Calls of chats with random words under one system message."""
    rng = random.Random(7)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 9))) for _ in range(500)]

    def text(number: int) -> str:
        return " ".join(rng.choices(words, k=number)).capitalize() + "."

    system = "\n".join(text(12) for _ in range(8))
    rows: Log = []
    for number in range(conversations):
        messages: list[Row] = [{"role": "system", "content": system}]
        for _ in range(turns):
            messages += [{"role": "user", "content": text(25)}, {"role": "assistant", "content": text(30)}]
        rows += _calls(f"chat-{number}", messages)
    return rows


def _calls(session: str, messages: Sequence[Row]) -> Log:
    return [
        {"session_id": session, "messages": deepcopy(list(messages[:at])), "response": dict(message)}
        for at, message in enumerate(messages)
        if message["role"] == "assistant" and any(one["role"] == "user" for one in messages[:at])
    ]


def save(rows: Log, path: Path) -> str:
    """Write the log as JSON Lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def _each(rows: Log, change: Callable[[Row, int, int], None]) -> Log:
    """A copy in which each row is changed, given its number in the log and in its session."""
    changed, turns = deepcopy(rows), dict[str, int]()
    for number, row in enumerate(changed):
        turn = turns[row["session_id"]] = turns.get(row["session_id"], -1) + 1
        change(row, number, turn)
    return changed


def _in_system(text: Callable[[Row, int], str]) -> Callable[[Log], tuple[Log, Log]]:
    """Text at the start of the system message; without the cause every row has the first row's."""

    def plant(rows: Log) -> tuple[Log, Log]:
        first = text(rows[0], 0)

        def put(row: Row, what: str) -> None:
            row["messages"][0]["content"] = what + "\n" + row["messages"][0]["content"]

        return (
            _each(rows, lambda row, number, turn: put(row, text(row, number))),
            _each(rows, lambda row, number, turn: put(row, first)),
        )

    return plant


def _changed(change: Callable[[Row, int, int], None]) -> Callable[[Log], tuple[Log, Log]]:
    """Rows that are changed; without the cause they are as they were."""
    return lambda rows: (_each(rows, change), deepcopy(rows))


def _moment(row: Row, number: int) -> str:
    return (
        f"The current date and time is 2025-03-{1 + number // 1440:02d} {number // 60 % 24:02d}:{number % 60:02d}:"
        f"{number * 7 % 60:02d}."
    )


def _long_date(row: Row, number: int) -> str:
    days = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
    return f"Today is {days[number % 7]}, March {1 + number % 28}, 2025, {1 + number % 11}:{number % 60:02d} PM."


def _uuid(row: Row, number: int) -> str:
    return f"Request: {uuid.UUID(int=random.Random(number).getrandbits(128))}"


def _counter(row: Row, number: int) -> str:
    return f"This is call {number} of the agent."


def _user(row: Row, number: int) -> str:
    return f"User name: {random.Random(row['session_id']).choice(['Ada', 'Grace', 'Alan', 'Edsger', 'Barbara'])}"


def _keys(row: Row, number: int) -> str:
    settings = {"mode": "airline", "retries": 3, "verbose": False, "region": "eu-west", "units": "metric"}
    names = list(settings)
    random.Random(number).shuffle(names)
    return json.dumps({name: settings[name] for name in names})


NAMES = ("book", "cancel", "search_flights", "user_details", "transfer", "think")


def _tool(name: str, keys: Sequence[str] = ("city", "date", "seats", "cabin")) -> Row:
    properties = {key: {"type": "string", "description": f"The {key} of {name}"} for key in keys}
    parameters = {"type": "object", "properties": properties}
    function = {"name": name, "description": f"Does {name} for the user", "parameters": parameters}
    return {"type": "function", "function": function}


def _with_tools(tools: Callable[[int, int], list[Row]]) -> Callable[[Log], tuple[Log, Log]]:
    """Tools by the number of the row in the log and in its session; without the cause every row has the first ones."""

    def plant(rows: Log) -> tuple[Log, Log]:
        return (
            _each(rows, lambda row, number, turn: row.update(tools=tools(number, turn))),
            _each(rows, lambda row, number, turn: row.update(tools=tools(0, 0))),
        )

    return plant


def _shuffled(items: Sequence[Any], seed: int) -> list[Any]:
    items = list(items)
    if seed:
        random.Random(seed).shuffle(items)
    return items


def _space(row: Row, number: int, turn: int) -> None:
    user = row["messages"][1]
    user["content"] = user["content"].rstrip() + ("\n\n" if turn % 2 else "") + " "


def _spaced(rows: Log) -> tuple[Log, Log]:
    def even(row: Row, number: int, turn: int) -> None:
        _space(row, number, 0)

    return _each(rows, _space), _each(rows, even)


def _edit(row: Row, number: int, turn: int) -> None:
    if turn >= 2:
        row["messages"][1]["content"] += " " + ("Be brief please.", "Take your time.", "Thanks in advance!")[turn % 3]


def _without_replies(row: Row, number: int, turn: int) -> None:
    row["messages"] = [one for one in row["messages"] if one["role"] != "assistant" or one.get("tool_calls")]


def _rewritten_replies(row: Row, number: int, turn: int) -> None:
    for one in row["messages"]:
        if one["role"] == "assistant" and one.get("content") and not one.get("tool_calls"):
            one["content"] = "[assistant] " + one["content"].replace(".", " .")


def _truncate(row: Row, number: int, turn: int) -> None:
    messages = row["messages"]
    if len(messages) > 9:
        row["messages"] = [messages[0], *messages[-8:]]


def _compact(row: Row, number: int, turn: int) -> None:
    messages = row["messages"]
    if len(messages) > 10:
        summary = {"role": "user", "content": "Summary of the conversation so far: the user asked about a booking."}
        row["messages"] = [messages[0], summary, *messages[9:]]


def _summarise(row: Row, number: int, turn: int) -> None:
    messages = row["messages"]
    if len(messages) > 11:  # no message is left that an earlier prompt holds
        summary = {"role": "user", "content": "Summary of the conversation so far: the user asked about a booking."}
        row["messages"] = [messages[0], summary, *messages[11:]]


def _other_system(row: Row, number: int, turn: int) -> None:
    if turn % 2:
        row["messages"][0]["content"] = "You check the work of another agent.\nReply with one word.\n" * 3


def _image(seed: int) -> Row:
    data = base64.b64encode(random.Random(seed).randbytes(64)).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}


def _images(rows: Log) -> tuple[Log, Log]:
    def put(row: Row, seed: int) -> None:
        user = row["messages"][1]
        user["content"] = [_image(seed), {"type": "text", "text": user["content"]}]

    return (
        _each(rows, lambda row, number, turn: put(row, number)),
        _each(rows, lambda row, number, turn: put(row, number - turn)),
    )


def _isolated(field: str) -> Callable[[Log], tuple[Log, Log]]:
    return lambda rows: (
        _each(rows, lambda row, number, turn: row.update({field: f"{field}-{number % 3}"})),
        _each(rows, lambda row, number, turn: row.update({field: f"{field}-0"})),
    )


PLANTED = {
    "a time in the system message": Planted("date_or_time", "system message", _in_system(_moment)),
    "a date in words": Planted("date_or_time", "system message", _in_system(_long_date)),
    "a uuid": Planted("id_or_number", "system message", _in_system(_uuid)),
    "a counter": Planted("id_or_number", "system message", _in_system(_counter)),
    "a user's name": Planted("user_field", "system message", _in_system(_user)),
    "JSON keys in the system message": Planted("order", "system message", _in_system(_keys)),
    "tools in changing order": Planted(
        "order", "tool definitions", _with_tools(lambda n, turn: [_tool(name) for name in _shuffled(NAMES, n)])
    ),
    "keys of tools in changing order": Planted(
        "order",
        "tool definitions",
        _with_tools(lambda n, turn: [_tool(name, _shuffled(("city", "date", "seats", "cabin"), n)) for name in NAMES]),
    ),
    "other tools in every second turn": Planted(
        "tools_replaced",
        "tool definitions",
        _with_tools(lambda n, turn: [_tool(name) for name in (NAMES[3:] if turn % 2 else NAMES[:3])]),
    ),
    "white space in the first message": Planted("white_space", "first user message", _spaced),
    "first message edited": Planted("message_edited", "first user message", _changed(_edit)),
    "replies missing": Planted("reply_missing", "reply", _changed(_without_replies)),
    "replies rewritten": Planted("reply_rewritten", "reply", _changed(_rewritten_replies)),
    "history truncated": Planted("history_truncated", "history", _changed(_truncate)),
    "history compacted": Planted("history_compacted", "history", _changed(_compact)),
    "system prompt replaced": Planted("system_replaced", "system message", _changed(_other_system)),
    "images encoded again": Planted("image", "first user message", _images),
    "changing model": Planted("isolation", "model", _isolated("model")),
    "changing cache salt": Planted("isolation", "cache salt", _isolated("cache_salt")),
}
"""Every cause by its name."""

SUMMARISED = Planted("history_compacted", "history", _changed(_summarise))
"""A summary in place of all messages that an earlier prompt holds. In agent traces most of these are taken for another
task, since the tool results of the new turns look like earlier ones."""
