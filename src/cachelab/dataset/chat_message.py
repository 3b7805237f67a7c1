"""Reads one message of a log, in any known form."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from cachelab.dataset.chat_parts import json_text, read_content, read_text
from cachelab.dataset.ignored_fields import IgnoredFields
from cachelab.dataset.json_text import kind, quoted
from cachelab.errors import DatasetError
from cachelab.message import Message, Part, Role, ToolCall

ROLES: Mapping[str, Role] = {
    "system": "system", "developer": "developer", "user": "user", "assistant": "assistant",
    "tool": "tool", "function": "function",
    "human": "user",
    "gpt": "assistant", "chatgpt": "assistant", "bing": "assistant", "bard": "assistant", "bot": "assistant",
    "ai": "assistant", "model": "assistant",
    "observation": "tool", "ipython": "tool", "tool_response": "tool", "function_response": "tool",
}  # fmt: skip
"""All known names of roles; a name that differs from the role is counted as `aliased_roles`."""

_REASONING = ("reasoning_content", "reasoning", "thinking")
_READ = {"role", "from", "content", "value", "tool_calls", "tool_call_id", "tool_call_ids", "name", "function_call"}
_READ |= {*_REASONING, "type", "timestamp", "created", "created_at", "usage"}
_ITEMS = ("function_call", "function_call_output", "reasoning")
"""Items of OpenAI's responses API that have no role."""


class MessageReader:
    """Reads messages and counts what it drops or repairs."""

    def __init__(self, counts: Counter[str], ignored: IgnoredFields) -> None:
        self.counts, self.ignored = counts, ignored

    def messages(self, raw: Any, field: str) -> list[tuple[Message, Mapping[str, Any]]]:
        """The messages of a list, each with the object it was read from. Raises DatasetError that names the field."""
        if not isinstance(raw, list):
            raise DatasetError(f"field {field} is {kind(raw)}, not a list of messages")
        read: list[tuple[Message, Mapping[str, Any]]] = []
        open_reply = False  # whether the next item may belong to the last reply
        for index, item in enumerate(raw):
            is_item = isinstance(item, dict) and item.get("type") in (*_ITEMS, "message")
            for made in self.message(item, f"{field}[{index}]"):
                if is_item and open_reply and made.role == "assistant":
                    read[-1] = (joined([read[-1][0], made]), item)
                else:
                    read.append((made, item))
                open_reply = is_item and made.role == "assistant"
        return read

    def message(self, raw: Any, where: str) -> list[Message]:
        """The message; none if its role is unknown, several if a message in Anthropic's form holds tool results.

        Raises DatasetError that names the field (`where`).
        """
        if not isinstance(raw, dict):
            raise DatasetError(f"{where} is {kind(raw)}, not a message: write an object with role and content")
        self.counts["messages"] += 1
        if raw.get("type") in _ITEMS and raw.get("role") is None:
            return [self._item(raw, where)]
        role = self._role(raw, where)
        if role is None:
            return []
        self.ignored.add(key for key, value in raw.items() if key not in _READ and value not in (None, "", [], {}))
        key = "value" if "content" not in raw and "value" in raw else "content"
        found = read_content(raw.get(key), f"{where}.{key}", self.counts)
        calls = (*self._calls(raw, where), *found.tool_calls)
        reasoning = self._reasoning(raw, where) or "\n".join(found.reasoning)
        results = [Message("tool", result.content, tool_call_id=id) for id, result in found.tool_results]
        if results and found.content is None and not (calls or reasoning):
            return results
        if not (found.content or calls or reasoning):
            self.counts["empty_messages"] += 1
        name = _optional_text(raw, "name", where)
        name = name and read_text(name, self.counts)
        made = Message(role, found.content, calls, self._tool_call_id(raw, where), name, reasoning or None)
        return [*results, made]

    def _role(self, raw: Mapping[str, Any], where: str) -> Role | None:
        key = "role" if raw.get("role") is not None else "from"
        given = raw.get(key)
        if given is None:
            raise DatasetError(f"{where} has no role: each message needs role (or from) and content (or value)")
        if not isinstance(given, str):
            raise DatasetError(f"{where}.{key} is {kind(given)}, not text")
        role = ROLES.get(given.strip().lower())
        if role is None:
            self.counts["dropped_unknown_role"] += 1
        elif role != given:
            self.counts["aliased_roles"] += 1
        return role

    def _calls(self, raw: Mapping[str, Any], where: str) -> list[ToolCall]:
        """The calls in OpenAI's `tool_calls` and in the older `function_call`."""
        calls = raw.get("tool_calls")
        if calls is not None and not isinstance(calls, list):
            raise DatasetError(f"{where}.tool_calls is {kind(calls)}, not a list")
        made = [self._call(call, f"{where}.tool_calls[{index}]") for index, call in enumerate(calls or ())]
        if (call := raw.get("function_call")) is not None:
            made.append(self._call(call, f"{where}.function_call"))
        return made

    def _call(self, raw: Any, where: str) -> ToolCall:
        if not isinstance(raw, dict):
            raise DatasetError(f"{where} is {kind(raw)}, not an object with name and arguments")
        inner = next((raw[key] for key in ("function", "custom") if isinstance(raw.get(key), dict)), raw)
        name = inner.get("name")
        if not isinstance(name, str):
            raise DatasetError(f"{where}: field name is {kind(name)}, not text: a tool call needs the tool's name")
        arguments = next((inner[key] for key in ("arguments", "args", "input") if inner.get(key) is not None), None)
        return ToolCall(
            read_text(name, self.counts), json_text(arguments, self.counts), _optional_text(raw, "id", where)
        )

    def _reasoning(self, raw: Mapping[str, Any], where: str) -> str:
        key = next((key for key in _REASONING if raw.get(key)), None)
        if key is None:
            return ""
        if not isinstance(raw[key], str):
            raise DatasetError(f"{where}.{key} is {kind(raw[key])}, not text")
        return read_text(raw[key], self.counts)

    def _tool_call_id(self, raw: Mapping[str, Any], where: str) -> str | None:
        """The id; SWE-agent writes it as a list of one id."""
        if raw.get("tool_call_id") is not None or not raw.get("tool_call_ids"):
            return _optional_text(raw, "tool_call_id", where)
        ids = raw["tool_call_ids"]
        if not isinstance(ids, list) or not isinstance(ids[0], str):
            raise DatasetError(f"{where}.tool_call_ids is not a list of texts")
        self.counts["dropped_tool_call_ids"] += len(ids) - 1
        return ids[0]

    def _item(self, raw: Mapping[str, Any], where: str) -> Message:
        if raw["type"] == "function_call":
            call = self._call({"id": raw.get("call_id"), "function": raw}, where)
            return Message("assistant", None, (call,))
        if raw["type"] == "function_call_output":
            found = read_content(raw.get("output"), f"{where}.output", self.counts)
            return Message("tool", found.content, tool_call_id=_optional_text(raw, "call_id", where))
        lists = [raw.get(key) or [] for key in ("summary", "content")]
        if not all(isinstance(parts, list) for parts in lists):
            raise DatasetError(f"{where}: summary and content of a reasoning item must be lists of parts")
        parts = [part for parts in lists for part in parts]
        texts = read_content(parts, where, self.counts)
        text = "\n".join(texts.reasoning)
        if not text:
            self.counts["dropped_redacted_reasoning"] += 1
        return Message("assistant", None, reasoning=text or None)


def _optional_text(raw: Mapping[str, Any], key: str, where: str) -> str | None:
    value = raw.get(key)
    if value is None or isinstance(value, str):
        return value or None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise DatasetError(f"{where}.{key} is {kind(value)}, not text: got {quoted(str(value))}")


def joined(messages: Sequence[Message]) -> Message:
    """Assistant messages joined into one: the items of a response of OpenAI's responses API are one reply."""
    if len(messages) == 1:
        return messages[0]
    contents = [message.content for message in messages if message.content]
    content: str | tuple[Part, ...] | None = None
    if all(isinstance(some, str) for some in contents):
        content = "".join(map(str, contents)) or None
    else:
        content = tuple(part for some in contents for part in ([Part("text", some)] if isinstance(some, str) else some))
    calls = tuple(call for message in messages for call in message.tool_calls)
    reasoning = "\n".join(message.reasoning for message in messages if message.reasoning)
    return Message("assistant", content, calls, None, messages[-1].name, reasoning or None)
