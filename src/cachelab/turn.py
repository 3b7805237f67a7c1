"""The turns of a conversation in texts, in memory or stored."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, overload

from cachelab.message import Isolation, LoggedUsage, Message, ToolDefinitions
from cachelab.tokens import TokenIds


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


class HasTurns(Protocol):
    """A conversation, as far as a stored turn reads it."""

    @property
    def turns(self) -> tuple[Turn, ...]: ...


class StoredTexts(Protocol):
    """Conversations that are not in memory."""

    def __getitem__(self, place: int) -> HasTurns: ...

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


def prompt_messages(turns: Sequence[Turn]) -> list[tuple[Message, ...]]:
    """The messages of every turn's prompt, oldest first."""
    prompts: list[tuple[Message, ...]] = []
    context: tuple[Message, ...] = ()
    for turn in turns:
        prompts.append(context[: turn.kept_messages] + turn.new_messages)
        context = prompts[-1] if turn.reply is None else (*prompts[-1], turn.reply)
    return prompts
