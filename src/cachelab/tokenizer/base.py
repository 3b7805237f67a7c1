"""What every tokenizer can do."""

from collections.abc import Sequence
from typing import Protocol

from cachelab.conversation import TokenizedTurn, Turn


class Tokenizer(Protocol):
    """Turns chats into token ids under one chat template."""

    @property
    def name(self) -> str:
        """Names the vocabulary and the chat template exactly: equal names make equal token ids."""
        ...

    def encode_text(self, text: str) -> list[int]:
        """Token ids of plain text, as a prompt of its own."""
        ...

    def encode_chat(self, system: str | None, turns: Sequence[Turn]) -> list[TokenizedTurn]:
        """One TokenizedTurn a turn. Raises TokenizerError if the template cannot take the chat."""
        ...
