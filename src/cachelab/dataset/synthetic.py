"""Made conversations of random tokens: a workload with stated lengths."""

import hashlib
from dataclasses import asdict
from typing import Annotated

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from cachelab.dataset.base import LoadedDataset
from cachelab.errors import ConfigError
from cachelab.strict_config import STRICT
from cachelab.tokenized_conversation import TokenizedConversation, TokenizedTurn
from cachelab.tokens import TokenIds

FORMAT_VERSION = "synthetic-1"
"""Version of the rules that make the tokens: a digest over it changes when they do."""

VOCABULARY = 32_000
"""Token ids are below this number, which fits the vocabulary of every model of today."""

MOST_TOKENS = 1 << 28

Length = Annotated[int, Field(ge=0, le=1 << 24)]
Number = Annotated[int, Field(gt=0, le=1 << 20)]


@dataclass(frozen=True, config=STRICT)
class Synthetic:
    """`num_conversations` chats of `num_turns` turns, all of the same lengths, in tokens.

    The first prompt of a chat is the prefix that all chats share, then `prompt_tokens` and the first message of
    `turn_tokens`. Each further prompt is the prompt before, its reply and the next message. Tokens are random and
    independent, drawn with `seed`. The first turns of more chats extend those of fewer: chat n is the same.
    """

    num_conversations: Number = 20
    num_turns: Number = 3
    shared_prefix_tokens: Length = 0
    prompt_tokens: Length = 8000
    turn_tokens: Length = 40
    reply_tokens: Number = 20
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0

    def __post_init__(self) -> None:
        new = self.prompt_tokens + self.num_turns * (self.turn_tokens + self.reply_tokens)
        if self.num_conversations * new + self.shared_prefix_tokens > MOST_TOKENS:
            raise ConfigError(f"dataset.num_conversations: the chats have more than {MOST_TOKENS:,} tokens: set less")
        if not self.shared_prefix_tokens + self.prompt_tokens + self.turn_tokens:
            raise ConfigError("dataset.turn_tokens: the first prompts are empty: set more")

    def load(self) -> LoadedDataset:
        """Make the conversations."""
        prefix = _tokens(self.seed, 0, self.shared_prefix_tokens)
        conversations = [self._conversation(number, prefix) for number in range(1, self.num_conversations + 1)]
        counts = {"conversations": len(conversations), "turns": len(conversations) * self.num_turns}
        settings = ", ".join(f"{name}={value}" for name, value in asdict(self).items())
        digest = hashlib.sha256(f"{FORMAT_VERSION} {settings}".encode()).hexdigest()
        return LoadedDataset("synthetic", f"synthetic({settings})", digest, conversations, counts)

    def _conversation(self, number: int, prefix: TokenIds) -> TokenizedConversation:
        step = self.turn_tokens + self.reply_tokens
        own = _tokens(self.seed, number, self.prompt_tokens + self.num_turns * step)
        turns = []
        kept = start = 0
        for turn in range(self.num_turns):
            end = self.prompt_tokens + turn * step + self.turn_tokens
            new_ids = own[start:end] if turn else np.concatenate([prefix, own[:end]])
            turns.append(TokenizedTurn(kept, new_ids, own[end : end + self.reply_tokens]))
            start = end + self.reply_tokens
            kept = len(prefix) + start
        return TokenizedConversation(f"chat_{number:05d}", tuple(turns))


def _tokens(seed: int, number: int, length: int) -> TokenIds:
    return np.random.default_rng([seed, number]).integers(0, VOCABULARY, length, dtype=np.int32)
