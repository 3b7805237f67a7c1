"""What every tokenizer can do."""

from collections.abc import Sequence
from typing import Protocol

from cachelab.conversation import Conversation, TokenizedTurn


class Tokenizer(Protocol):
    """Turns chats into token ids under one chat template."""

    @property
    def name(self) -> str:
        """Names the vocabulary and the chat template exactly: equal names make equal token ids."""
        ...

    def encode_text(self, text: str) -> list[int]:
        """Token ids of plain text, as a prompt of its own."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids, special tokens included; U+FFFD where they are a part of a character."""
        ...

    def encode_chat(self, conversation: Conversation) -> list[TokenizedTurn]:
        """One TokenizedTurn per turn. Raises TokenizerError if the template cannot take the conversation."""
        ...
