"""What every dataset gives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from cachelab.conversation import AnyConversation


@dataclass(frozen=True, slots=True)
class LoadedDataset:
    """Conversations read from a source, with counts of everything that was read or dropped.

    `counts` are logged as `dataset/<key>`; `digest` is the SHA-256 (hex) of the source's bytes and of the rules that
    read them; `source` says where it was read from (a path or an address). `notes` are lines about how the source
    was read, shown in the log and in the summary.
    """

    name: str
    source: str
    digest: str
    conversations: Sequence[AnyConversation]
    counts: Mapping[str, int]
    notes: Sequence[str] = ()


class Dataset(Protocol):
    """A source of conversations."""

    def load(self) -> LoadedDataset:
        """Read the source. Raises DatasetError that names the file and the line, item or field."""
        ...
