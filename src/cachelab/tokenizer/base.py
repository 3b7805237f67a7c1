"""The interface of all tokenizers."""

from typing import Protocol

from cachelab.conversation import Conversation, TokenizedTurn


class Tokenizer(Protocol):
    """Converts conversations to token ids with one chat template."""

    @property
    def name(self) -> str:
        """Identifies the vocabulary and the chat template: equal names give equal token ids."""
        ...

    def encode_text(self, text: str) -> list[int]:
        """Token ids of a prompt that is plain text."""
        ...

    def encode_chat(self, conversation: Conversation) -> list[TokenizedTurn]:
        """One TokenizedTurn per turn. Raises TokenizerError if the template cannot take the conversation."""
        ...
