"""Messages and tools in the form in which vLLM's server gives them to a Hugging Face chat template.

Source: vLLM 0.32, `vllm/renderers/chat_utils.py` (`parse_chat_messages`, `_postprocess_messages`),
`vllm/renderers/hf.py` (`safe_apply_chat_template`) and `ChatCompletionToolsParam`. A test compares the two.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cachelab.errors import TokenizerError
from cachelab.message import Message, Part, ToolCall, ToolDefinitions
from cachelab.tokenizer.content_format import ContentFormat

BILLING_HEADER = "x-anthropic-billing-header"
"""The first line of some system messages of Claude Code; it changes with every request and vLLM drops it."""

ServedMessage = dict[str, Any]
PartText = Callable[[Part], str]
"""Gives the text that stands in a prompt for an image or audio part."""


def served_message(message: Message, form: ContentFormat, media: PartText) -> ServedMessage:
    """The message for a template that takes content in this form."""
    texts = _texts(message, media)
    served: ServedMessage = {"role": message.role}
    if form == "string":
        served["content"] = "\n".join(filter(None, texts))
    elif message.role == "tool":
        served["content"] = "\n".join(texts)
    else:
        served["content"] = [{"type": "text", "text": text} for text in texts]
    if message.role == "assistant":
        if message.tool_calls:
            served["tool_calls"] = [_served_call(call) for call in message.tool_calls]
        if message.reasoning is not None:
            served["reasoning"] = served["reasoning_content"] = message.reasoning
    if message.role == "tool" and message.tool_call_id is not None:
        served["tool_call_id"] = message.tool_call_id
    if message.name is not None:
        served["name"] = message.name
    if message.role == "developer":
        served["tools"] = None
    return served


def for_template(messages: Sequence[ServedMessage], template: str) -> list[ServedMessage]:
    """The messages; developer messages become system messages if the template does not know that role.

    All system messages are then joined into one at the start, as in vLLM.
    """
    if not has_developer(messages) or knows_developer(template):
        return list(messages)
    renamed = [
        {key: value for key, value in {**message, "role": "system"}.items() if key != "tools"}
        if message["role"] == "developer"
        else message
        for message in messages
    ]
    system = [message for message in renamed if message["role"] == "system"]
    if len(system) == 1 and renamed[0]["role"] == "system":
        return renamed
    texts = [text for message in system if (text := _joined(message["content"]))]
    others = [message for message in renamed if message["role"] != "system"]
    return [{"role": "system", "content": "\n\n".join(texts)}, *others]


def has_developer(messages: Sequence[ServedMessage]) -> bool:
    """Whether one of the messages is a developer's."""
    return any(message["role"] == "developer" for message in messages)


def knows_developer(template: str) -> bool:
    """Whether a template names the role, by vLLM's rule."""
    return '"developer"' in template or "'developer'" in template


def served_tools(tools: ToolDefinitions) -> list[dict[str, Any]] | None:
    """Tool definitions with the fields and the order that vLLM's server gives them; None if there are none.

    Definitions in the form of Anthropic's API or of OpenAI's older `functions` are accepted too. Raises TokenizerError
    for a definition without a name.
    """
    return [_served_tool(tool, place) for place, tool in enumerate(tools)] or None


def _served_tool(tool: Mapping[str, Any], place: int) -> dict[str, Any]:
    function = tool.get("function", tool)
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise TokenizerError(f"tools[{place}] has no function with a name: correct the log, or leave its tools out")
    served = {
        "name": function["name"],
        "description": function.get("description"),
        "parameters": function.get("parameters", function.get("input_schema")),
    }
    deferred = tool.get("defer_loading")
    served |= {key: value for key in ("strict", "defer_loading") if (value := function.get(key)) is not None}
    if deferred is None:
        return {"type": "function", "function": served}
    return {"type": "function", "function": {**served, "defer_loading": deferred}, "defer_loading": deferred}


def _served_call(call: ToolCall) -> dict[str, Any]:
    """Arguments as an object; those that are not a JSON object become an empty one, as in vLLM."""
    function = {"name": call.name, "arguments": call.arguments_object() or {}}
    given = {"id": call.id} if call.id is not None else {}
    return {**given, "type": "function", "function": function}


def _texts(message: Message, media: PartText) -> list[str]:
    if message.content is None:
        return []
    parts = (Part("text", message.content),) if isinstance(message.content, str) else message.content
    texts = [part.text if part.kind == "text" else media(part) for part in parts]
    if message.role != "system":
        return texts
    kept = [without_header(text) for text in texts]
    return [text for text in kept if text is not None]


def without_header(text: str) -> str | None:
    """A system text without Claude Code's billing header; None if nothing else is in it."""
    return (text.partition("\n")[2] or None) if text.startswith(BILLING_HEADER) else text


def _joined(content: Any) -> str:
    return content if isinstance(content, str) else "\n".join(part["text"] for part in content)
