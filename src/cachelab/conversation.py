"""The types that the stages exchange from the dataset to the trace."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, overload

import numpy as np
import numpy.typing as npt

from cachelab.message import Isolation, LoggedUsage, Message, ToolDefinitions
from cachelab.tokens import AnyTokens, joined
from cachelab.tokens import TokenIds as TokenIds

TEMPLATE = -1
"""Source of tokens that the chat template adds."""

TOOLS = -2
"""Source of tokens of the tool definitions."""

Spans = npt.NDArray[np.int32]
"""Where the tokens of a prompt come from. Shape: (num_spans, 2), rows (first token, source), first tokens rising.

A span ends where the next one starts. A source from 0 is the index of a prompt message; TEMPLATE and TOOLS are below 0.
"""

NO_SPANS: Spans = np.empty((0, 2), np.int32)

_NO_FIELDS: Mapping[str, str] = {}  # one for all turns


@dataclass(frozen=True, slots=True)
class Turn:
    """One request and its reply. The messages of the prompt are stored as the difference to the previous turn.

    They are `(messages + reply of the previous turn)[:kept_messages] + new_messages`. `reply` is None if the log holds
    none. `timestamp_s` counts from the first request of the source, `think_s` from the end of the previous reply.
    `fields`: fields of the source's row by which requests can be grouped.
    """

    kept_messages: int
    new_messages: tuple[Message, ...]
    reply: Message | None
    tools: ToolDefinitions = ()
    timestamp_s: float | None = None
    think_s: float | None = None
    usage: LoggedUsage | None = None
    isolation: Isolation | None = None
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RecordedTurn:
    """One finished prompt of a trace file and its recorded reply, with token ids if the file has them."""

    prompt: str
    response: str
    timestamp_s: float | None
    prompt_ids: TokenIds | None = None
    response_ids: TokenIds | None = None
    tokenizer: str | None = None
    think_s: float | None = None
    usage: LoggedUsage | None = None
    isolation: Isolation | None = None
    fields: Mapping[str, str] = field(default_factory=dict)


class StoredTexts(Protocol):
    """Conversations that are not in memory."""

    def __getitem__(self, place: int) -> "Conversation": ...

    def prompt_messages(self, place: int) -> Sequence[Sequence[Message]]:
        """The messages of every prompt of a conversation."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class StoredTurn:
    """Where a turn is stored: its conversation's place in `texts`, and its index."""

    texts: StoredTexts
    conversation: int
    index: int

    def read(self) -> Turn:
        return self.texts[self.conversation].turns[self.index]


@dataclass(frozen=True, slots=True, eq=False)
class StoredMessages(Sequence[Message]):
    """The messages of a stored turn's prompt, or those at `places`, which are read when they are used."""

    turn: StoredTurn
    places: tuple[int, ...] | None = None

    def __len__(self) -> int:
        return len(self._read())

    @overload
    def __getitem__(self, key: int) -> Message: ...

    @overload
    def __getitem__(self, key: slice) -> Sequence[Message]: ...

    def __getitem__(self, key: int | slice) -> Message | Sequence[Message]:
        return self._read()[key]

    def __iter__(self) -> Iterator[Message]:
        return iter(self._read())

    def _read(self) -> Sequence[Message]:
        messages = self.turn.texts.prompt_messages(self.turn.conversation)[self.turn.index]
        return messages if self.places is None else tuple(messages[place] for place in self.places)


@dataclass(frozen=True, slots=True, eq=False)
class TokenizedTurn:
    """One turn in token ids. The prompt is stored as the difference to the previous prompt and reply.

    The prompt is `(previous prompt + previous reply)[:kept_tokens] + new_ids`. Its spans are those of the previous
    prompt and reply that start before `new_spans[0, 0]`, then `new_spans`. `alone_ids` is the prompt without history,
    `alone_spans` its spans (None if the source has only finished prompts, or if there is no such prompt). `source`
    holds the texts, or says where they are stored; None for a turn of a block trace, which has none. `think_s`:
    seconds between the previous reply and this prompt; None if unknown.
    """

    kept_tokens: int
    new_ids: AnyTokens
    reply_ids: AnyTokens
    alone_ids: TokenIds | None = None
    new_spans: Spans = field(default_factory=lambda: NO_SPANS)
    alone_spans: Spans = field(default_factory=lambda: NO_SPANS)
    source: "Turn | RecordedTurn | StoredTurn | None" = None
    timestamp_s: float | None = None
    think_s: float | None = None
    usage: LoggedUsage | None = None
    isolation: Isolation | None = None
    fields: Mapping[str, str] = field(default_factory=dict)

    @property
    def turn(self) -> Turn | RecordedTurn | None:
        """The texts, which are read if they are stored."""
        return self.source.read() if isinstance(self.source, StoredTurn) else self.source

    @property
    def prompt_tokens(self) -> int:
        return self.kept_tokens + len(self.new_ids)


@dataclass(frozen=True, slots=True, eq=False)
class TokenizedConversation:
    """A conversation in token ids, turn by turn."""

    id: str
    turns: tuple[TokenizedTurn, ...]

    @property
    def prompt_tokens(self) -> int:
        """Tokens of all its prompts, each with its history."""
        return sum(turn.prompt_tokens for turn in self.turns)

    @property
    def prefix_breaks(self) -> int:
        """Turns whose prompt is not an extension of the previous prompt + recorded reply."""
        pairs = zip(self.turns, self.turns[1:], strict=False)
        return sum(now.kept_tokens < before.prompt_tokens + len(before.reply_ids) for before, now in pairs)

    def prompts(self) -> list[AnyTokens]:
        """The prompt of every turn. Shape of each: (prompt_tokens,). Neighbouring parts of one array are not copied."""
        prompts: list[AnyTokens] = []
        for index, turn in enumerate(self.turns):
            if not turn.kept_tokens:
                prompts.append(turn.new_ids)
                continue
            context = joined(prompts[-1], self.turns[index - 1].reply_ids)[: turn.kept_tokens]
            prompts.append(joined(context, turn.new_ids).astype(np.int32, copy=False))
        return prompts

    def spans(self) -> list[Spans]:
        """The spans of every turn's prompt; empty for a turn whose source holds no messages."""
        spans: list[Spans] = []
        context = NO_SPANS
        for turn, messages in zip(self.turns, self.prompt_messages(), strict=True):
            new = turn.new_spans
            kept = int(np.searchsorted(context[:, 0], new[0, 0])) if len(new) else 0
            spans.append(np.concatenate([context[:kept], new]) if kept else new)
            context = with_reply(spans[-1], turn.prompt_tokens, len(messages))
        return spans

    def prompt_messages(self) -> Sequence[Sequence[Message]]:
        """The messages of every turn's prompt, oldest first. A finished prompt is one user message.

        Stored messages are read when they are used.
        """
        stored = [turn.source for turn in self.turns if isinstance(turn.source, StoredTurn)]
        if len(stored) == len(self.turns):
            return [StoredMessages(turn) for turn in stored]
        if all(isinstance(turn.turn, Turn) for turn in self.turns):
            return _prompt_messages([turn.turn for turn in self.turns if isinstance(turn.turn, Turn)])
        recorded = (turn.turn for turn in self.turns)
        return [(Message("user", turn.prompt),) if isinstance(turn, RecordedTurn) else () for turn in recorded]


class Encoder(Protocol):
    """What a conversation needs of a tokenizer."""

    @property
    def name(self) -> str: ...

    def encode_text(self, text: str) -> list[int]: ...

    def encode_chat(self, conversation: "Conversation") -> list[TokenizedTurn]: ...


@dataclass(frozen=True, slots=True)
class Conversation:
    """A chat: its requests in order, in messages."""

    id: str
    turns: tuple[Turn, ...]

    @classmethod
    def of_texts(cls, id: str, exchanges: Sequence[tuple[str, str]], system: str | None = None) -> "Conversation":
        """The conversation of plain texts: (user, assistant) for each turn, after a system text if there is one."""
        head = (Message("system", system),) if system else ()
        turns: list[Turn] = []
        for index, (user, assistant) in enumerate(exchanges):
            new = (Message("user", user),)
            kept = len(head) + 2 * index if index else 0
            turns.append(Turn(kept, new if index else head + new, Message("assistant", assistant)))
        return cls(id, tuple(turns))

    def prompt_messages(self) -> list[tuple[Message, ...]]:
        """The messages of every turn's prompt, oldest first."""
        return _prompt_messages(self.turns)

    def tokenized(self, encoder: Encoder) -> TokenizedConversation:
        """The conversation under the encoder's chat template."""
        return TokenizedConversation(self.id, tuple(encoder.encode_chat(self)))


@dataclass(frozen=True, slots=True)
class RecordedConversation:
    """A conversation of a trace file: finished prompts, which are used unchanged."""

    id: str
    turns: tuple[RecordedTurn, ...]

    def tokenized(self, encoder: Encoder) -> TokenizedConversation:
        """Its prompts in token ids: the recorded ids if this encoder made them, otherwise the encoded text."""
        turns: list[TokenizedTurn] = []
        context = np.empty(0, dtype=np.int32)
        for turn in self.turns:
            if turn.prompt_ids is not None and turn.response_ids is not None and turn.tokenizer == encoder.name:
                prompt, reply = turn.prompt_ids, turn.response_ids
            else:
                prompt = np.asarray(encoder.encode_text(turn.prompt), dtype=np.int32)
                reply = np.asarray(encoder.encode_text(turn.response), dtype=np.int32)
            kept = common_prefix(context, prompt)
            turns.append(TokenizedTurn(kept, prompt[kept:], reply, new_spans=ONE_MESSAGE, **of_turn(turn)))
            context = np.concatenate([prompt, reply])
        return TokenizedConversation(self.id, tuple(turns))


AnyConversation = Conversation | RecordedConversation | TokenizedConversation
"""The conversations that a dataset can return. A TokenizedConversation is used unchanged."""

ONE_MESSAGE: Spans = np.zeros((1, 2), np.int32)
"""The spans of a prompt that is one message."""


def of_turn(turn: Turn | RecordedTurn) -> dict[str, Any]:
    """The fields of a TokenizedTurn that do not depend on a tokenizer."""
    return {
        "source": turn,
        "timestamp_s": turn.timestamp_s,
        "think_s": turn.think_s,
        "usage": turn.usage,
        "isolation": turn.isolation,
        "fields": turn.fields or _NO_FIELDS,
    }


def with_reply(spans: Spans, prompt_tokens: int, messages: int) -> Spans:
    """The spans of a prompt and of the reply after it, whose source is the next index, `messages`."""
    return np.concatenate([spans, np.asarray([(prompt_tokens, messages)], np.int32)])


def new_spans(context: Spans, spans: Spans) -> Spans:
    """The part of a prompt's spans to store, given `context`, the spans of the previous prompt and reply."""
    n = min(len(context), len(spans))
    differs = np.nonzero((context[:n] != spans[:n]).any(axis=1))[0]
    same = int(differs[0]) if len(differs) else n
    if same == len(spans) or (same < len(context) and context[same, 0] < spans[same, 0]):
        same -= 1  # the first stored row marks where the rows of the context end
    return spans[max(same, 0) :]


def messages_alone(messages: Sequence[Message]) -> tuple[int, ...] | None:
    """The indices of the messages of a prompt without history; None if there is no user message.

    They are the leading system and developer messages and the last user message.
    """
    last = next((place for place in reversed(range(len(messages))) if messages[place].role == "user"), None)
    if last is None:
        return None
    leading = next(place for place in range(last + 1) if messages[place].role not in ("system", "developer"))
    return (*range(leading), last)


def _prompt_messages(turns: Sequence[Turn]) -> list[tuple[Message, ...]]:
    prompts: list[tuple[Message, ...]] = []
    context: tuple[Message, ...] = ()
    for turn in turns:
        prompts.append(context[: turn.kept_messages] + turn.new_messages)
        context = prompts[-1] if turn.reply is None else (*prompts[-1], turn.reply)
    return prompts


def common_prefix(a: TokenIds, b: TokenIds) -> int:
    """The number of leading tokens that a and b share."""
    n = min(len(a), len(b))
    differs = np.nonzero(a[:n] != b[:n])[0]
    return int(differs[0]) if len(differs) else n
