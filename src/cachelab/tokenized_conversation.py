"""A conversation in token ids, each prompt stored as the difference to the previous turn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cachelab.message import Isolation, LoggedUsage, Message
from cachelab.spans import NO_SPANS, Spans, with_reply
from cachelab.tokens import AnyTokens, TokenIds, joined
from cachelab.turn import RecordedTurn, StoredMessages, StoredTurn, Turn, prompt_messages

_NO_FIELDS: Mapping[str, str] = {}  # one for all turns


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
            return prompt_messages([turn.turn for turn in self.turns if isinstance(turn.turn, Turn)])
        recorded = (turn.turn for turn in self.turns)
        return [(Message("user", turn.prompt),) if isinstance(turn, RecordedTurn) else () for turn in recorded]


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
