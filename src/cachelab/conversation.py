"""The conversations that a dataset returns, and how a tokenizer puts them into tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from cachelab.message import Message
from cachelab.spans import ONE_MESSAGE
from cachelab.tokenized_conversation import TokenizedConversation, TokenizedTurn, of_turn
from cachelab.tokens import common_prefix
from cachelab.turn import RecordedTurn, Turn, prompt_messages


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
        return prompt_messages(self.turns)

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
