"""Finds the message from which each character of a rendered prompt comes.

The prompt is rendered a second time with marks (characters of Unicode's private use area) around the messages' texts.
If removing the marks gives the same prompt, they show the exact place of each text. A template that examines the texts
may render a different prompt for marked texts. Then the texts are searched in the prompt, in their order.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cachelab.spans import TEMPLATE, TOOLS, Spans
from cachelab.tokenizer.pieces import Encoded

_OPEN, _MIDDLE, _CLOSE = "\ue000", "\ue001", "\ue002"
_MARK = re.compile(f"{_OPEN}([0-9]+):([0-9]+){_MIDDLE}|{_CLOSE}")

CONTENT, REASONING, CALLS = 0, 1, 2
"""Fields of a message; its first tool call is CALLS, the next one CALLS + 1, ..."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A text of a message in a prompt: characters from `start` up to, not including, `end`."""

    start: int
    end: int
    message: int
    field: int


def marked(message: dict[str, Any], index: int) -> dict[str, Any]:
    """The served message with marks around its texts."""
    made = dict(message)
    content = message.get("content")
    if isinstance(content, str):
        made["content"] = _mark(content, index, CONTENT)
    elif isinstance(content, list):
        made["content"] = [{**part, "text": _mark(part["text"], index, CONTENT)} for part in content]
    for key in ("reasoning", "reasoning_content"):
        if key in message:
            made[key] = _mark(message[key], index, REASONING)
    if "tool_calls" in message:
        made["tool_calls"] = [
            {**call, "function": _mark_all(call["function"], index, CALLS + place, keys=False)}
            for place, call in enumerate(message["tool_calls"])
        ]
    return made


def read_marks(text: str) -> tuple[str, list[Placed]]:
    """A rendered text without its marks, and the places of the marked texts in it, in rising order."""
    plain: list[str] = []
    placed: list[Placed] = []
    length = at = 0
    opened: tuple[int, int, int] | None = None
    for match in _MARK.finditer(text):
        plain.append(text[at : match.start()])
        length += match.start() - at
        at = match.end()
        if match.group(1) is not None:
            opened = (length, int(match.group(1)), int(match.group(2)))
        elif opened is not None:
            placed.append(Placed(opened[0], length, opened[1], opened[2]))
            opened = None
    plain.append(text[at:])
    return "".join(plain), placed


def search(text: str, messages: Sequence[dict[str, Any]]) -> list[Placed]:
    """The places of the messages' texts in a prompt, in rising order. Each search starts after the last text found.

    If the template does not show a text, a later equal text may be found instead.
    """
    placed: list[Placed] = []
    at = 0
    for index, message in enumerate(messages):
        for field, wanted in _texts(message):
            found = text.find(wanted, at) if wanted else -1
            if found >= 0:
                at = found + len(wanted)
                placed.append(Placed(found, at, index, field))
    return placed


def fields(message: dict[str, Any]) -> set[int]:
    """The fields of a message that hold text."""
    return {field for field, text in _texts(message) if text}


def spans(
    text: str, placed: Sequence[Placed], messages: Sequence[dict[str, Any]], tools: Sequence[Any], encoded: Encoded
) -> Spans:
    """The spans of a prompt in tokens. A token of several sources belongs to a message, to the earlier one of two."""
    hulls = _hulls(text, placed, messages)
    place = _tools_place(text, tools)
    bounds: list[tuple[int, int]] = []  # characters
    at = 0
    for start, end, message in [*hulls, (len(text), len(text), TEMPLATE)]:
        bounds += _between(at, start, place)
        bounds.append((start, message))
        at = end
    ends, starts = np.maximum.accumulate(encoded.ends), np.maximum.accumulate(encoded.starts)
    rows: list[tuple[int, int]] = []
    before = 0
    for character, source in bounds:
        token = np.searchsorted(ends, character, "right") if source >= 0 else np.searchsorted(starts, character, "left")
        before = max(before, int(token))
        if before >= len(encoded.ids):
            break
        while rows and rows[-1][0] == before:
            rows.pop()
        if not rows or rows[-1][1] != source:
            rows.append((before, source))
    return np.asarray(rows, np.int32).reshape(-1, 2)


def _between(start: int, end: int, tools: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """The bounds of text that comes from no message."""
    first, last = max(start, tools[0]), min(end, tools[1])
    if first >= last:
        yield start, TEMPLATE
        return
    if start < first:
        yield start, TEMPLATE
    yield first, TOOLS
    if last < end:
        yield last, TEMPLATE


def _hulls(text: str, placed: Sequence[Placed], messages: Sequence[dict[str, Any]]) -> list[tuple[int, int, int]]:
    """(start, end, message) of adjacent texts of one message, with what the template puts between them."""
    hulls: list[tuple[int, int, int]] = []
    for one in placed:
        end = one.end
        if one.field >= CALLS:
            end += _rest_of_arguments(text, end, messages[one.message]["tool_calls"][one.field - CALLS])
        if hulls and hulls[-1][2] == one.message:
            hulls[-1] = (hulls[-1][0], max(end, hulls[-1][1]), one.message)
        else:
            hulls.append((one.start, end, one.message))
    return hulls


def _rest_of_arguments(text: str, at: int, call: dict[str, Any]) -> int:
    """How many characters at `at` belong to the values after the last text of a call's arguments, such as a number."""
    arguments = call["function"]["arguments"]
    leaves = list(_leaves(arguments))
    whole = json.dumps(arguments, ensure_ascii=False)
    if not leaves:
        return 0
    leaf = json.dumps(leaves[-1], ensure_ascii=False)
    rest = whole[whole.rindex(leaf) + len(leaf) - 1 :]
    return len(rest) if text.startswith(rest, at) else 0


def _tools_place(text: str, tools: Sequence[Any]) -> tuple[int, int]:
    """The place of the tool definitions: from the first one found to the end of the last one."""
    places: list[tuple[int, int]] = []
    at = 0
    for tool in tools:
        forms = [json.dumps(it, ensure_ascii=False, indent=n) for it in (tool, tool["function"]) for n in (None, 4, 2)]
        names = [tool["function"].get("description"), tool["function"]["name"]]
        for wanted in (*forms, *names):
            found = text.find(wanted, at) if wanted else -1
            if found >= 0:
                at = found + len(wanted)
                places.append((found, at))
                break
    return (places[0][0], places[-1][1]) if places else (0, 0)


def _texts(message: dict[str, Any]) -> Iterator[tuple[int, str]]:
    if reasoning := message.get("reasoning"):
        yield REASONING, reasoning.strip()
    content = message.get("content")
    for text in (content,) if isinstance(content, str) else (part["text"] for part in content or ()):
        yield CONTENT, text.strip()
    for place, call in enumerate(message.get("tool_calls", ())):
        yield CALLS + place, call["function"]["name"]
        yield CALLS + place, json.dumps(call["function"]["arguments"], ensure_ascii=False)


def _mark(text: str, index: int, field: int) -> str:
    """The text with marks inside its surrounding white space, which a template may strip."""
    inner = text.strip()
    if not inner:
        return text
    start = text.index(inner)
    return f"{text[:start]}{_OPEN}{index}:{field}{_MIDDLE}{inner}{_CLOSE}{text[start + len(inner) :]}"


def _mark_all(value: Any, index: int, field: int, keys: bool = True) -> Any:
    if isinstance(value, str):
        return _mark(value, index, field)
    if isinstance(value, dict):
        return {
            (_mark(key, index, field) if keys else key): _mark_all(inner, index, field) for key, inner in value.items()
        }
    return [_mark_all(inner, index, field) for inner in value] if isinstance(value, list) else value


def _leaves(value: Any) -> Iterator[str]:
    """The texts of a JSON value, keys included, in the order in which they are written."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
