"""Messages in the form in which clients send them to /v1/chat/completions."""

from typing import Any

from cachelab.message import Message, ToolCall
from cachelab.request import Request


def chat_body(request: Request) -> dict[str, Any]:
    """`messages`, and `tools` if there are any, of a request.

    `tool_choice` is none: the prompt holds the tools, and the server needs no parser for calls. Raises ValueError for
    an image or audio part.
    """
    body: dict[str, Any] = {"messages": [wire_message(message) for message in request.messages]}
    if request.tools:
        body |= {"tools": [_tool(tool) for tool in request.tools], "tool_choice": "none"}
    return body


def wire_message(message: Message) -> dict[str, Any]:
    """One message. Raises ValueError for an image or audio part: the log holds its digest, not its data."""
    made: dict[str, Any] = {"role": message.role}
    if message.content is None or isinstance(message.content, str):
        made["content"] = message.content
    elif all(part.kind == "text" for part in message.content):
        made["content"] = [{"type": "text", "text": part.text} for part in message.content]
    else:
        raise ValueError("an image or audio part cannot be sent: cachelab keeps its digest, not its data")
    if message.tool_calls:
        made["tool_calls"] = [_call(call, place) for place, call in enumerate(message.tool_calls)]
    for name, value in (("tool_call_id", message.tool_call_id), ("name", message.name)):
        if value is not None:
            made[name] = value
    if message.reasoning is not None:
        made["reasoning"] = message.reasoning
    return made


def _call(call: ToolCall, place: int) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id if call.id is not None else f"call_{place}", "type": "function", "function": function}


def _tool(tool: Any) -> dict[str, Any]:
    return dict(tool) if "function" in tool else {"type": "function", "function": dict(tool)}
