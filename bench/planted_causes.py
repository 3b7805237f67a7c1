"""Workloads of request rows in which known causes break the prefix, made from tau-bench's conversations.

    python bench/planted_causes.py TAU_BENCH.json time tool_order > calls.jsonl

A row is one API call: `messages` and `tools` as sent, and the `response`. Everything is drawn with fixed seeds.
"""

import copy
import json
import random
import sys
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

Row = dict[str, Any]
Plant = Callable[[Sequence[Row]], None]

START = datetime(2026, 11, 2, 9, 0, 0)


def request_rows(path: Path, conversations: int | None = None) -> list[Row]:
    """One row per assistant message of the file, conversation after conversation, with tools made of its calls."""
    rows: list[Row] = []
    chats = json.loads(path.read_text(encoding="utf-8"))[:conversations]
    tools = _tools(chats)
    for chat in chats:
        session = f"{chat['task_id']}-{chat['trial']}"
        for index, message in enumerate(chat["traj"]):
            if message["role"] == "assistant":
                rows.append(
                    {
                        "request_id": f"{session}/{index}",
                        "session_id": session,
                        "model": "some-model",
                        "max_completion_tokens": 1024,
                        "messages": copy.deepcopy([_sent(one) for one in chat["traj"][:index]]),
                        "tools": copy.deepcopy(tools),
                        "response": _sent(message),
                    }
                )
    return rows


def planted(rows: Sequence[Row], causes: Sequence[str]) -> list[Row]:
    """A copy of the rows with the causes planted, in the order of PLANTS."""
    changed = copy.deepcopy(list(rows))
    for name, plant in PLANTS.items():
        if name in causes:
            plant(changed)
    return changed


def write_rows(rows: Sequence[Row], path: Path) -> None:
    """Write the rows as JSON Lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _tools(chats: Sequence[Row]) -> list[Row]:
    """A definition for each tool that the file calls, with the arguments that it was called with."""
    arguments: dict[str, dict[str, Any]] = {}
    for chat in chats:
        for message in chat["traj"]:
            for call in message.get("tool_calls") or ():
                given = json.loads(call["function"]["arguments"])
                arguments.setdefault(call["function"]["name"], {}).update(given)
    kinds = {str: "string", int: "integer", float: "number", bool: "boolean", list: "array", dict: "object"}
    return [
        {
            "type": "function",
            "function": {
                "name": name,
                "description": f"{name.replace('_', ' ').capitalize()} of the airline.",
                "parameters": {
                    "type": "object",
                    "properties": {key: {"type": kinds.get(type(value), "string")} for key, value in given.items()},
                    "required": sorted(given),
                },
            },
        }
        for name, given in sorted(arguments.items())
    ]


def _sent(message: Row) -> Row:
    known = ("role", "content", "tool_calls", "tool_call_id", "name")
    return {key: message[key] for key in known if message.get(key) is not None or key == "content"}


def _in_front_of_system(text: Callable[[int, Row], str]) -> Plant:
    def plant(rows: Sequence[Row]) -> None:
        for number, row in enumerate(rows):
            system = row["messages"][0]
            system["content"] = f"{text(number, row)}\n\n{system['content']}"

    return plant


def _time(number: int, row: Row) -> str:
    return f"The current time is {START + timedelta(seconds=7 * number):%Y-%m-%d %H:%M:%S}."


def _id(number: int, row: Row) -> str:
    return f"Request id: {uuid.UUID(int=random.Random(number).getrandbits(128), version=4)}"


def _user(number: int, row: Row) -> str:
    drawn = random.Random(row["session_id"])
    name = drawn.choice(("Ann Lee", "Bob Ray", "Cy Diaz", "Dee Kim", "Eve Fox", "Flo Orr", "Gus Paz", "Hal Roy"))
    return f"Customer: {name}, account {drawn.randrange(10**7, 10**8)}"


def _tool_order(rows: Sequence[Row]) -> None:
    for number, row in enumerate(rows):
        random.Random(number).shuffle(row["tools"])


def _key_order(rows: Sequence[Row]) -> None:
    for number, row in enumerate(rows):
        parameters = row["tools"][0]["function"]["parameters"]
        keys = list(parameters)
        random.Random(number).shuffle(keys)
        row["tools"][0]["function"]["parameters"] = {key: parameters[key] for key in keys}


def _white_space(rows: Sequence[Row]) -> None:
    for number, row in enumerate(rows):
        if number % 2:
            row["messages"][0]["content"] = row["messages"][0]["content"].replace("\n\n", "\n")


def _message_edited(rows: Sequence[Row]) -> None:
    for row in rows:
        users = [message for message in row["messages"] if message["role"] == "user"]
        for message in users[:-1]:
            message["content"] += " (answered)"


def _reply_missing(rows: Sequence[Row]) -> None:
    for row in rows:
        row["messages"] = [one for one in row["messages"] if one["role"] != "assistant" or one.get("tool_calls")]


def _reply_rewritten(rows: Sequence[Row]) -> None:
    for row in rows:
        for message in row["messages"]:
            if message["role"] == "assistant" and message["content"]:
                message["content"] = f"Assistant said: {message['content']}"


def _history_truncated(rows: Sequence[Row]) -> None:
    for row in rows:
        system, *rest = row["messages"]
        while len(rest) > 8 or (rest and rest[0]["role"] == "tool"):
            rest = rest[1:]
        row["messages"] = [system, *rest]


def _history_compacted(rows: Sequence[Row]) -> None:
    for row in rows:
        system, *rest = row["messages"]
        cut = len(rest) // 10 * 10 - 2  # every ten messages, the two newest are kept
        while 0 < cut < len(rest) and rest[cut]["role"] == "tool":
            cut -= 1
        if cut > 0:
            said = " ".join((one["content"] or "")[:40] for one in rest[:cut] if one["role"] == "user")
            row["messages"] = [system, {"role": "user", "content": f"Summary of the conversation: {said}"}, *rest[cut:]]


def _system_replaced(rows: Sequence[Row]) -> None:
    for row in rows:
        if sum(one["role"] == "user" for one in row["messages"]) >= 4:
            system = row["messages"][0]
            half = len(system["content"]) // 2
            system["content"] = "You supervise an agent. Judge its last step.\n" + system["content"][half:]


def _tools_replaced(rows: Sequence[Row]) -> None:
    for row in rows:
        if sum(one["role"] == "user" for one in row["messages"]) >= 3:
            row["tools"] = row["tools"][2:]


PLANTS: dict[str, Plant] = {
    "reply_missing": _reply_missing,
    "reply_rewritten": _reply_rewritten,
    "message_edited": _message_edited,
    "history_truncated": _history_truncated,
    "history_compacted": _history_compacted,
    "system_replaced": _system_replaced,
    "white_space": _white_space,
    "tools_replaced": _tools_replaced,
    "key_order": _key_order,
    "tool_order": _tool_order,
    "user": _in_front_of_system(_user),
    "id": _in_front_of_system(_id),
    "time": _in_front_of_system(_time),
}
"""Name of a planted cause -> what plants it."""

WORKLOADS: dict[str, tuple[str, ...]] = {
    "untouched": (),
    **{name: (name,) for name in reversed(PLANTS)},
    "time and tool order": ("time", "tool_order"),
    "id, message edited, truncated": ("id", "message_edited", "history_truncated"),
}
"""The workloads of the comparison, with the causes planted in each."""


if __name__ == "__main__":
    for made in planted(request_rows(Path(sys.argv[1])), sys.argv[2:]):
        print(json.dumps(made))
