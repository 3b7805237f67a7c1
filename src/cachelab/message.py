"""Chat messages, in the form that logs have and chat templates accept."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Role = Literal["system", "developer", "user", "assistant", "tool", "function"]

ToolDefinitions = Sequence[Mapping[str, Any]]
"""Tool definitions as the request sent them (OpenAI's `tools`), in their order and with their key order."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a message's content.

    `text` is the text of a text part. Of an image or audio part, `digest` is the SHA-256 (hex) of its data, or of its
    address where the log holds no data; equal digests are equal parts.
    """

    kind: Literal["text", "image", "audio"]
    text: str = ""
    digest: str = ""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool by the assistant; `arguments` is JSON text, as the model wrote it."""

    name: str
    arguments: str
    id: str | None = None

    def arguments_object(self) -> dict[str, Any] | None:
        """The arguments as an object, empty for an empty text; None if the text is not a JSON object."""
        try:
            value = json.loads(self.arguments) if self.arguments else {}
        except (ValueError, RecursionError):
            return None
        return value if isinstance(value, dict) else None


@dataclass(frozen=True, slots=True)
class Message:
    """One message. `content` is None where the log has null, as for an assistant that only calls tools."""

    role: Role
    content: str | tuple[Part, ...] | None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None
    reasoning: str | None = None

    @property
    def text(self) -> str:
        """The text of the content, parts joined; "" where there is none."""
        if self.content is None or isinstance(self.content, str):
            return self.content or ""
        return "".join(part.text for part in self.content)

    @property
    def full_text(self) -> str:
        """All text of the message: reasoning, content and tool calls, a line break between them."""
        calls = [f"{call.name}({call.arguments})" for call in self.tool_calls]
        return "\n".join(text for text in (self.reasoning, self.text, *calls) if text)


@dataclass(frozen=True, slots=True)
class LoggedUsage:
    """The usage that a logged response states for its prompt, in tokens; None if the log does not state it."""

    prompt_tokens: int | None = None
    cached_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Isolation:
    """The part of a block's identity that is not its tokens. Requests with different values share no block.

    Source: vLLM's extra keys of block hashes (vllm/v1/core/kv_cache_utils.py). The model is added, because each model
    has its own cache. An empty text counts as missing, as in vLLM.
    """

    cache_salt: str | None = None
    lora: str | None = None
    model: str | None = None

    @property
    def salt(self) -> str | None:
        """All values as one text; equal salts may share blocks. None where all values are missing or empty.

        Engines pass it to vLLM as the request's cache_salt. It includes the LoRA name, because a log does not have the
        adapter's weights that a LoRARequest needs. Block hashes are chained, so a salt in the first block separates the
        same blocks as a LoRA key in each block.
        """
        values = [self.cache_salt or None, self.lora or None, self.model or None]
        return json.dumps(values) if any(values) else None


def messages_alone(messages: Sequence[Message]) -> tuple[int, ...] | None:
    """The indices of the messages of a prompt without history; None if there is no user message.

    They are the leading system and developer messages and the last user message.
    """
    last = next((place for place in reversed(range(len(messages))) if messages[place].role == "user"), None)
    if last is None:
        return None
    leading = next(place for place in range(last + 1) if messages[place].role not in ("system", "developer"))
    return (*range(leading), last)
