"""The protocol of filters, and their result."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from cachelab.tokenized_conversation import TokenizedConversation


@dataclass(frozen=True, slots=True)
class Filtered:
    """The conversations kept, and numbers logged as `filter/<key>` (conversations_kept, dropped_<reason>, ...)."""

    kept: Sequence[TokenizedConversation]
    numbers: Mapping[str, float]


class Filter(Protocol):
    """Selects conversations. A pure function of its input."""

    def apply(self, conversations: Sequence[TokenizedConversation]) -> Filtered: ...
