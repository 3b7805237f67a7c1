"""The interface of all tokenizers."""

from collections.abc import Sequence
from typing import Protocol

from cachelab.conversation import Conversation
from cachelab.tokenized_conversation import TokenizedTurn


class Tokenizer(Protocol):
    """Converts conversations to token ids with one chat template."""

    @property
    def name(self) -> str:
        """Identifies the vocabulary and the chat template: equal names give equal token ids."""
        ...

    def encode_text(self, text: str) -> list[int]:
        """Token ids of a prompt that is plain text."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids, special tokens included; U+FFFD where they are a part of a character."""
        ...

    def encode_chat(self, conversation: Conversation) -> list[TokenizedTurn]:
        """One TokenizedTurn per turn. Raises TokenizerError if the template cannot take the conversation."""
        ...
