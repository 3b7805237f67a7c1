"""The types that the stages exchange from the trace to the metrics."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from cachelab.message import Isolation, LoggedUsage, Message, ToolDefinitions
from cachelab.spans import NO_SPANS, Spans
from cachelab.tokens import AnyTokens
from cachelab.turn import StoredTurn


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """One prompt to be prefilled and the reply that was recorded for it.

    `messages` are those of the prompt, oldest first (one user message if the source holds a finished prompt, none in a
    block trace). `tools` are the definitions that were sent with it. `recorded_reply` is the reply's message, or the
    stored turn that holds it. `spans` maps the tokens to these messages. The prompt shares its first `kept_tokens`
    tokens with the prompt and reply of the conversation's previous turn. `follows` is the id of the request whose reply
    is part of this prompt: this request cannot be sent before that one has ended (None: it can be sent at any time).
    `isolation` is part of the identity of its blocks. `usage` is the logged usage. `arrival_s` is its recorded time, in
    seconds from any zero that the requests share; `think_s` the recorded seconds between the reply before it and this
    request (each None if there is none). `timestamp_s` is `arrival_s`, or the number of the request in a source without
    times.
    Shapes: prompt_ids (prompt_tokens,), reply_ids (reply_tokens,), spans (num_spans, 2).
    """

    id: str
    conversation_id: str
    turn_index: int
    prompt_ids: AnyTokens
    reply_ids: AnyTokens
    messages: Sequence[Message]
    recorded_reply: Message | StoredTurn | None
    timestamp_s: float
    kept_tokens: int = 0
    follows: str | None = None
    spans: Spans = field(default_factory=lambda: NO_SPANS)
    tools: ToolDefinitions = ()
    arrival_s: float | None = None
    think_s: float | None = None
    usage: LoggedUsage | None = None
    isolation: Isolation | None = None
    fields: Mapping[str, str] = field(default_factory=dict)

    @property
    def reply(self) -> Message | None:
        """The reply's message, which is read if it is stored."""
        reply = self.recorded_reply
        return reply.read().reply if isinstance(reply, StoredTurn) else reply

    @property
    def prompt(self) -> str:
        """The prompt as text: its messages, a blank line between them."""
        return "\n\n".join(message.full_text for message in self.messages)

    @property
    def response(self) -> str:
        """The reply as text, "" where there is none."""
        reply = self.reply
        return reply.full_text if reply else ""


Lane = tuple[Request, ...]
"""Requests that run one after another."""

Stage = tuple[Lane, ...]
"""Lanes that run together."""


@dataclass(frozen=True, slots=True)
class Wait:
    """When a request enters: `at_ns` after the start of the run, or `think_ns` after the request before it has ended.

    The later of the two counts. The request before it is that of its lane, for the first of a lane the stage before.
    """

    at_ns: int = 0
    think_ns: int = 0


NO_WAIT = Wait()


@dataclass(frozen=True, slots=True)
class Schedule:
    """Stages that run one after another; a stage starts when the one before it is done.

    `waits`: by request id, for the requests that do not enter as soon as the one before them has ended. `numbers` are
    logged as `order/<key>`.
    """

    stages: tuple[Stage, ...]
    waits: Mapping[str, Wait] = field(default_factory=dict)
    numbers: Mapping[str, float] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Request]:
        return (request for stage in self.stages for lane in stage for request in lane)

    def __len__(self) -> int:
        return sum(len(lane) for stage in self.stages for lane in stage)

    def earliest_ns(self) -> dict[str, int]:
        """By request id, the time at which it enters if every reply takes no time. Nanoseconds from the start."""
        found: dict[str, int] = {}
        start_ns = 0
        for stage in self.stages:
            end_ns = start_ns
            for lane in stage:
                now_ns = start_ns
                for request in lane:
                    wait = self.waits.get(request.id, NO_WAIT)
                    now_ns = found[request.id] = max(wait.at_ns, now_ns + wait.think_ns)
                end_ns = max(end_ns, now_ns)
            start_ns = end_ns
        return found


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """The outcome of one request, as the engine measured it.

    `cached_tokens` (local prefix cache) and `host_cached_tokens` (KV connector) are those of the request's FIRST
    prefill; `cached_tokens` is 0 if a server did not say it (`cached_known`). `prefill_index` numbers the first
    prefills in the order in which they were scheduled. Times are nanoseconds of the engine's clock; they,
    `prefill_index` and the token counts of a rejected request are None or 0.
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
    cached_known: bool = True
