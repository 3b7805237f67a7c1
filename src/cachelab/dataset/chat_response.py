"""Reads the logged response of one API call: its reply, usage and time, in any known form."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cachelab.dataset.chat_message import MessageReader, joined
from cachelab.dataset.chat_parts import read_text
from cachelab.dataset.json_text import kind
from cachelab.errors import DatasetError
from cachelab.message import Message

_KNOWN = "a chat completion (choices), a message, OpenAI's response (output), a batch's line (body), or text"


@dataclass(frozen=True, slots=True)
class Response:
    """A logged response. `failed`: the call returned an error instead of a reply."""

    reply: Message | None = None
    usage: Any = None
    created: Any = None
    failed: bool = False


def read_response(raw: Any, field: str, reader: MessageReader) -> Response:
    """The response of a call. Raises DatasetError that names the field if its form is unknown."""
    counts = reader.counts
    if isinstance(raw, str):
        value = _own_form(raw)
        if value is None:
            return Response(Message("assistant", read_text(raw, counts)) if raw else None)
        return read_response(value, field, reader)
    if raw is None or raw == {} or raw == []:
        return Response()
    if isinstance(raw, list):
        return _of_items(raw, field, reader)
    if not isinstance(raw, dict):
        raise DatasetError(f"field {field} is {kind(raw)}, not a response: known are {_KNOWN}")
    status = raw.get("status_code")
    if (isinstance(status, int) and status >= 400) or (raw.get("error") and not raw.get("choices")):
        return Response(failed=True)
    usage = next((raw[key] for key in ("usage", "usageMetadata", "usage_metadata") if raw.get(key) is not None), None)
    created = raw.get("created", raw.get("created_at"))
    if isinstance(raw.get("body"), dict):
        return read_response(raw["body"], f"{field}.body", reader)
    if isinstance(raw.get("output"), list):
        return _with(_of_items(raw["output"], f"{field}.output", reader), usage, created)
    if (choices := raw.get("choices")) is not None:
        return Response(_of_choices(choices, f"{field}.choices", reader), usage, created)
    inner, name = (raw["message"], f"{field}.message") if isinstance(raw.get("message"), dict) else (raw, field)
    if not {"role", "content", "tool_calls", "function_call"} & inner.keys():
        raise DatasetError(f"field {field} has none of choices, message, output, body and content: known are {_KNOWN}")
    return Response(_reply([inner], name, reader), usage, created)


def _own_form(text: str) -> Any:
    """The response, if the text is a response written as JSON; None if the text is the reply itself."""
    try:
        value = json.loads(text) if text.lstrip().startswith(("{", "[")) else None
    except (ValueError, RecursionError):
        return None
    items = value if isinstance(value, list) else [value]
    known = [
        isinstance(item, dict)
        and ("choices" in item or item.get("role") == "assistant" or item.get("object") == "response")
        for item in items
    ]
    return value if known and all(known) else None


def _of_choices(choices: Any, field: str, reader: MessageReader) -> Message | None:
    """The message of the first choice; further choices are counted (`dropped_choices`)."""
    if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
        raise DatasetError(f"field {field} is {kind(choices)}, not a list of choices")
    if not choices:
        return None
    reader.counts["dropped_choices"] += len(choices) - 1
    first: Mapping[str, Any] = choices[0]
    if isinstance(message := first.get("message"), dict):
        return _reply([message], f"{field}[0].message", reader)
    if isinstance(text := first.get("text"), str):
        return Message("assistant", read_text(text, reader.counts))
    raise DatasetError(
        f"field {field}[0] has no message: a stream's pieces (delta) are not read: log the whole response"
    )


def _of_items(items: list[Any], field: str, reader: MessageReader) -> Response:
    if all(isinstance(item, dict) and "choices" in item for item in items):
        raise DatasetError(f"field {field} holds the pieces of a stream, which are not read: log the whole response")
    return Response(_reply(items, field, reader))


def _reply(items: list[Any], field: str, reader: MessageReader) -> Message | None:
    """Messages or items joined into one reply; a message without a role is the assistant's."""
    spoken = [
        item | {"role": "assistant"} if isinstance(item, dict) and not {"role", "from", "type"} & item.keys() else item
        for item in items
    ]
    messages = [message for message, _ in reader.messages(spoken, field)]
    if any(message.role != "assistant" for message in messages):
        raise DatasetError(f"field {field} holds a message that is not the assistant's: a response is the reply alone")
    reader.counts["messages"] -= len(spoken)  # a reply is not counted as a message
    return joined(messages) if messages else None


def _with(response: Response, usage: Any, created: Any) -> Response:
    return Response(response.reply, usage, created)
