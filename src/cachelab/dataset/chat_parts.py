"""Reads the parts of a message's content: text, images, audio, reasoning, tool calls and tool results.

It reads the parts of OpenAI's chat completions and responses, of Anthropic's messages, and of vLLM's server.
"""

import base64
import binascii
import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cachelab.dataset.json_text import is_unicode, kind, quoted
from cachelab.errors import DatasetError
from cachelab.message import Part, ToolCall

_TEXTS = {"text": "text", "input_text": "text", "output_text": "text", "refusal": "refusal"}
_IMAGES = ("image_url", "input_image", "image", "image_pil")
_AUDIO = ("input_audio", "audio_url", "audio")
_REASONING = {"thinking": "thinking", "reasoning": "text", "reasoning_text": "text", "summary_text": "text"}
_DROPPED = dict.fromkeys(("video_url", "input_video", "video"), "dropped_video_parts")
_DROPPED |= dict.fromkeys(("file", "input_file", "document"), "dropped_file_parts")
_DROPPED["redacted_thinking"] = "dropped_redacted_reasoning"
_DATA = ("image_url", "input_audio", "audio_url", "image", "audio", "source", "url", "data", "bytes", "file_id", "path")


@dataclass(slots=True)
class Content:
    """The content of a message (text or parts), and what belongs into other fields of the message."""

    content: str | tuple[Part, ...] | None = None
    reasoning: list[str] = field(default_factory=list)
    tool_calls: list[ToolCall] = field(default_factory=list)
    tool_results: list[tuple[str | None, "Content"]] = field(default_factory=list)
    """Tool call id and content of each result, as Anthropic's user messages hold them."""


def read_content(raw: Any, where: str, counts: Counter[str]) -> Content:
    """The content of a message. Raises DatasetError that names the field (`where`) if its form is unknown.

    What is dropped adds to `counts`: `dropped_video_parts`, `dropped_file_parts`, `dropped_redacted_reasoning`, and
    `dropped_other_parts` for parts of an unknown type.
    """
    if raw is None:
        return Content()
    if isinstance(raw, str):
        return Content(read_text(raw, counts))
    if not isinstance(raw, list):
        raise DatasetError(f"{where} is {kind(raw)}, not text, a list of parts, or null")
    found = Content()
    parts: list[Part] = []
    for index, part in enumerate(raw):
        at = f"{where}[{index}]"
        if isinstance(part, str):
            parts.append(Part("text", read_text(part, counts)))
        elif not isinstance(part, dict):
            raise DatasetError(f"{at} is {kind(part)}, not a part: write an object with type, or text")
        elif (own := _part(part, at, found, counts)) is not None:
            parts.append(own)
    if parts or not (found.reasoning or found.tool_calls or found.tool_results):
        found.content = tuple(parts)
    return found


def read_text(text: str, counts: Counter[str]) -> str:
    """The text; lone surrogates, which no tokenizer accepts, are replaced and counted (`repaired_texts`)."""
    if is_unicode(text):
        return text
    counts["repaired_texts"] += 1
    return "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in text)


def json_text(value: Any, counts: Counter[str]) -> str:
    """The arguments of a tool call as JSON text: text unchanged, null as an empty object (as in vLLM)."""
    if isinstance(value, str):
        return read_text(value, counts)
    return "{}" if value is None else read_text(json.dumps(value, ensure_ascii=False, default=str), counts)


def _part(part: dict[str, Any], where: str, found: Content, counts: Counter[str]) -> Part | None:
    """The part if it is text, an image or audio; reasoning, calls and results are added to `found`."""
    type_ = part.get("type")
    if type_ is None:  # vLLM's server accepts parts without a type
        type_ = next((key for key in ("text", *_IMAGES, *_AUDIO) if part.get(key) is not None), None)
        if type_ is None:
            raise DatasetError(f"{where} has neither type nor text: write the type of the part")
    if not isinstance(type_, str):
        raise DatasetError(f"{where}.type is {kind(type_)}, not text")
    if type_ in _TEXTS:
        return Part("text", read_text(_string(part, _TEXTS[type_], where), counts))
    if type_ in _REASONING:
        found.reasoning.append(read_text(_string(part, _REASONING[type_], where), counts))
    elif type_ in _IMAGES:
        return Part("image", digest=_digest(part, where))
    elif type_ in _AUDIO:
        return Part("audio", digest=_digest(part, where))
    elif type_ == "tool_use":
        call = ToolCall(_string(part, "name", where), json_text(part.get("input"), counts), _id(part, "id", where))
        found.tool_calls.append(call)
    elif type_ == "tool_result":
        result = read_content(part.get("content"), f"{where}.content", counts)
        found.tool_results.append((_id(part, "tool_use_id", where), result))
    else:
        counts[_DROPPED.get(type_, "dropped_other_parts")] += 1
    return None


def _string(part: Mapping[str, Any], key: str, where: str) -> str:
    value = part.get(key)
    if not isinstance(value, str):
        raise DatasetError(f"{where}.{key} is {kind(value)}, not text")
    return value


def _id(part: Mapping[str, Any], key: str, where: str) -> str | None:
    return None if part.get(key) is None else _string(part, key, where)


def _digest(part: Mapping[str, Any], where: str) -> str:
    """SHA-256 (hex) of an image's or audio's data, or of its address if there is no data."""
    value: Any = part
    while isinstance(value, Mapping):
        value = next((value[key] for key in _DATA if value.get(key) not in (None, "")), None)
    if isinstance(value, str):
        return hashlib.sha256(_decoded(value)).hexdigest()
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    type_ = quoted(str(part.get("type")))
    raise DatasetError(f"{where}: the {type_} part has neither data nor an address: log one of them")


def _decoded(value: str) -> bytes:
    """The bytes of a data URL or of base64 text; of any other text, such as an address, its UTF-8 bytes."""
    head, comma, data = value.partition(",")
    try:
        if comma and head.startswith("data:") and head.endswith(";base64"):
            return base64.b64decode(data, validate=True)
        if len(value) >= 64 and "/" not in value[:8]:
            return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        pass  # not base64: the text itself identifies the part
    return value.encode("utf-8", "surrogatepass")
