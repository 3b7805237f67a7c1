"""One difference between two exchanges, and the edit that undoes it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cachelab.explanation.break_class import BreakClass
from cachelab.explanation.exchange import Exchange
from cachelab.explanation.prompt_break import Place
from cachelab.message import Isolation, Message, Part, ToolCall, ToolDefinitions

Field = tuple[str, int]
"""A text of a message: ("content", 0), ("part", index), ("reasoning", 0), ("arguments", call), ("call_id", call) or
("result_id", 0)."""  # fmt: skip


@dataclass(frozen=True, slots=True)
class TextEdit:
    """Characters from start up to end of a text of prompt message `message` become `text`."""

    message: int
    field: Field
    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class MessagesEdit:
    """The prompt messages from start up to end become `messages`."""

    start: int
    end: int
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class ToolsEdit:
    """The tool definitions become `tools`."""

    tools: ToolDefinitions


@dataclass(frozen=True, slots=True)
class IsolationEdit:
    """Model, LoRA and salt become `isolation`."""

    isolation: Isolation | None


Edit = TextEdit | MessagesEdit | ToolsEdit | IsolationEdit


@dataclass(frozen=True, slots=True)
class Difference:
    """Where a prompt differs from an earlier prompt and its reply.

    `message_before` and `message_now`: the index of the first message that differs, of the earlier messages and reply,
    and of the prompt's (conversation.TOOLS for the tools). `before` and `after`: the texts that differ; `left` and
    `right`: the text around them. `undo`: the edit that puts the earlier text back (None: the class is not undone).
    """

    kind: BreakClass
    place: Place
    message_before: int
    message_now: int
    before: str
    after: str
    left: str = ""
    right: str = ""
    undo: Edit | None = None

    @property
    def key(self) -> tuple[BreakClass, str]:
        """What breaks of one cause share: the class and the place."""
        return self.kind, self.place.label


def edited(exchange: Exchange, edits: Sequence[Edit]) -> Exchange:
    """The exchange with all edits, which do not overlap."""
    messages = list(exchange.messages)
    tools, isolation = exchange.tools, exchange.isolation
    for text in sorted((edit for edit in edits if isinstance(edit, TextEdit)), key=lambda edit: -edit.start):
        old = field_text(messages[text.message], text.field)
        new = old[: text.start] + text.text + old[text.end :]
        messages[text.message] = with_text(messages[text.message], text.field, new)
    for run in sorted((edit for edit in edits if isinstance(edit, MessagesEdit)), key=lambda edit: -edit.start):
        messages[run.start : run.end] = run.messages
    for edit in edits:
        if isinstance(edit, ToolsEdit):
            tools = edit.tools
        elif isinstance(edit, IsolationEdit):
            isolation = edit.isolation
    return replace(exchange, messages=tuple(messages), tools=tools, isolation=isolation)


def field_text(message: Message, field: Field) -> str:
    """A text of a message; "" where it is missing."""
    name, index = field
    if name == "content":
        return message.content if isinstance(message.content, str) else ""
    if name == "part":
        return message.content[index].text if isinstance(message.content, tuple) else ""
    if name == "reasoning":
        return message.reasoning or ""
    if name == "result_id":
        return message.tool_call_id or ""
    call = message.tool_calls[index]
    return call.arguments if name == "arguments" else call.id or ""


def with_text(message: Message, field: Field, text: str) -> Message:
    """The message with another text in a field; "" is a missing one, except as content and arguments."""
    name, index = field
    if name == "content":
        return replace(message, content=text)
    if name == "part":
        assert isinstance(message.content, tuple)
        parts: list[Part] = list(message.content)
        parts[index] = replace(parts[index], text=text)
        return replace(message, content=tuple(parts))
    if name == "reasoning":
        return replace(message, reasoning=text or None)
    if name == "result_id":
        return replace(message, tool_call_id=text or None)
    calls: list[ToolCall] = list(message.tool_calls)
    changed = replace(calls[index], arguments=text) if name == "arguments" else replace(calls[index], id=text or None)
    calls[index] = changed
    return replace(message, tool_calls=tuple(calls))


def same_shape(before: Message, now: Message) -> bool:
    """Whether two messages differ in their texts alone."""
    return _shape(before) == _shape(now)


def fields_of(message: Message) -> list[Field]:
    """The texts of a message."""
    if isinstance(message.content, tuple):
        texts: list[Field] = [("part", at) for at, part in enumerate(message.content) if part.kind == "text"]
    else:
        texts = [("content", 0)]
    calls = range(len(message.tool_calls))
    of_calls: list[Field] = [(name, at) for name in ("arguments", "call_id") for at in calls]
    return [("reasoning", 0), *texts, *of_calls, ("result_id", 0)]


def _shape(message: Message) -> object:
    content = message.content
    parts = tuple((part.kind, part.digest) for part in content) if isinstance(content, tuple) else None
    return message.role, message.name, parts, tuple(call.name for call in message.tool_calls)
