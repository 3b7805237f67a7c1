"""The types that the stages exchange from the trace to the metrics."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from cachelab.conversation import NO_SPANS, Spans
from cachelab.message import Isolation, LoggedUsage, Message, ToolDefinitions
from cachelab.tokens import AnyTokens


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """One prompt to be prefilled and the reply that was recorded for it.

    `messages` are those of the prompt, oldest first (one user message if the source holds a finished prompt, none in a
    block trace). `spans` maps the tokens to these messages. The prompt shares its first `kept_tokens` tokens with the
    prompt and reply of the conversation's previous turn. `follows` is the id of the request whose reply is part of this
    prompt: this request cannot be sent before that one has ended (None: it can be sent at any time). `isolation` is
    part of the identity of its blocks. `usage` is the logged usage.
    Shapes: prompt_ids (prompt_tokens,), reply_ids (reply_tokens,), spans (num_spans, 2).
    """

    id: str
    conversation_id: str
    turn_index: int
    prompt_ids: AnyTokens
    reply_ids: AnyTokens
    messages: tuple[Message, ...]
    reply: Message | None
    timestamp_s: float
    kept_tokens: int = 0
    follows: str | None = None
    spans: Spans = field(default_factory=lambda: NO_SPANS)
    tools: ToolDefinitions = ()
    think_s: float | None = None
    usage: LoggedUsage | None = None
    isolation: Isolation | None = None
    fields: Mapping[str, str] = field(default_factory=dict)

    @property
    def prompt(self) -> str:
        """The prompt as text: its messages, a blank line between them."""
        return "\n\n".join(message.full_text for message in self.messages)

    @property
    def response(self) -> str:
        """The reply as text, "" where there is none."""
        return self.reply.full_text if self.reply else ""


Lane = tuple[Request, ...]
"""Requests that run one after another."""

Stage = tuple[Lane, ...]
"""Lanes that run together."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Stages that run one after another; a stage starts when the one before it is done."""

    stages: tuple[Stage, ...]

    def __iter__(self) -> Iterator[Request]:
        return (request for stage in self.stages for lane in stage for request in lane)

    def __len__(self) -> int:
        return sum(len(lane) for stage in self.stages for lane in stage)


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """The outcome of one request, as the engine measured it.

    `cached_tokens` (local prefix cache) and `host_cached_tokens` (KV connector) are those of the request's FIRST
    prefill. `prefill_index` numbers the first prefills in the order in which they were scheduled. Times are
    nanoseconds of the engine's clock; they, `prefill_index` and the token counts of a rejected request are None or 0.
    """

    request_id: str
    conversation_id: str
    turn_index: int
    outcome: Literal["completed", "rejected"]
    prompt_tokens: int
    reason: str | None = None
    cached_tokens: int = 0
    host_cached_tokens: int = 0
    reply_tokens: int = 0
    reply_tokens_cut: int = 0
    preemptions: int = 0
    prefill_index: int | None = None
    submitted_ns: int | None = None
    first_scheduled_ns: int | None = None
    first_token_ns: int | None = None
    finished_ns: int | None = None
