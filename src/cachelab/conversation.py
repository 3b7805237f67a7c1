"""The nouns that travel from a dataset to a trace."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from cachelab.tokens import AnyTokens
from cachelab.tokens import TokenIds as TokenIds


@dataclass(frozen=True, slots=True)
class Turn:
    """One user message and the reply that was recorded for it ("" when there is none)."""

    user: str
    assistant: str


@dataclass(frozen=True, slots=True)
class RecordedTurn:
    """One finished prompt of a trace file and its recorded reply, with token ids where the file has them."""

    prompt: str
    response: str
    timestamp_s: float
    prompt_ids: TokenIds | None = None
    response_ids: TokenIds | None = None
    tokenizer: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class TokenizedTurn:
    """One turn in token ids, its prompt stored as the difference to what came before it.

    The prompt is `(previous prompt + previous reply)[:kept_tokens] + new_ids`; `alone_ids` is the prompt that the
    user message makes without history (None where the source holds finished prompts only). `think_s` are the seconds
    between the reply before and this prompt, where the source knows them.
    """

    kept_tokens: int
    new_ids: AnyTokens
    reply_ids: AnyTokens
    alone_ids: TokenIds | None
    user: str
    assistant: str
    timestamp_s: float | None = None
    think_s: float | None = None

    @property
    def prompt_tokens(self) -> int:
        return self.kept_tokens + len(self.new_ids)


@dataclass(frozen=True, slots=True, eq=False)
class TokenizedConversation:
    """A conversation in token ids, turn by turn."""

    id: str
    turns: tuple[TokenizedTurn, ...]
    system: str | None = None

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
        """The prompt of every turn. Shape of each: (prompt_tokens,). One that keeps nothing is not copied."""
        prompts: list[AnyTokens] = []
        for index, turn in enumerate(self.turns):
            if not turn.kept_tokens:
                prompts.append(turn.new_ids)
                continue
            context = np.concatenate([prompts[-1], self.turns[index - 1].reply_ids])[: turn.kept_tokens]
            prompts.append(np.concatenate([context, turn.new_ids]).astype(np.int32, copy=False))
        return prompts


class Encoder(Protocol):
    """What a conversation needs of a tokenizer."""

    @property
    def name(self) -> str: ...

    def encode_text(self, text: str) -> list[int]: ...

    def encode_chat(self, system: str | None, turns: Sequence[Turn]) -> list[TokenizedTurn]: ...


@dataclass(frozen=True, slots=True)
class Conversation:
    """A chat: its turns in order and, where the source has one, its system text."""

    id: str
    turns: tuple[Turn, ...]
    system: str | None = None

    def tokenized(self, encoder: Encoder) -> TokenizedConversation:
        """The conversation under the encoder's chat template."""
        return TokenizedConversation(self.id, tuple(encoder.encode_chat(self.system, self.turns)), self.system)


@dataclass(frozen=True, slots=True)
class RecordedConversation:
    """A conversation of a trace file: finished prompts, which are taken as they are."""

    id: str
    turns: tuple[RecordedTurn, ...]

    def tokenized(self, encoder: Encoder) -> TokenizedConversation:
        """Its prompts in token ids: the recorded ones if this encoder made them, else the text encoded."""
        turns: list[TokenizedTurn] = []
        context = np.empty(0, dtype=np.int32)
        for turn in self.turns:
            if turn.prompt_ids is not None and turn.response_ids is not None and turn.tokenizer == encoder.name:
                prompt, reply = turn.prompt_ids, turn.response_ids
            else:
                prompt = np.asarray(encoder.encode_text(turn.prompt), dtype=np.int32)
                reply = np.asarray(encoder.encode_text(turn.response), dtype=np.int32)
            kept = common_prefix(context, prompt)
            turns.append(TokenizedTurn(kept, prompt[kept:], reply, None, turn.prompt, turn.response, turn.timestamp_s))
            context = np.concatenate([prompt, reply])
        return TokenizedConversation(self.id, tuple(turns))


AnyConversation = Conversation | RecordedConversation | TokenizedConversation
"""What a dataset may give; what is in token ids already is taken as it is."""


def common_prefix(a: TokenIds, b: TokenIds) -> int:
    """How many tokens a and b share from their start."""
    n = min(len(a), len(b))
    differs = np.nonzero(a[:n] != b[:n])[0]
    return int(differs[0]) if len(differs) else n
