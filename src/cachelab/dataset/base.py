"""The protocol of datasets, and their result."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from cachelab.conversation import AnyConversation


@dataclass(frozen=True, slots=True)
class LoadedDataset:
    """Conversations read from a source, with counts of everything that was read or dropped.

    `counts` are logged as `dataset/<key>`. `digest`: the SHA-256 (hex) of the source's bytes and of the version of the
    reading rules. `source`: a path or an address. `notes`: lines about how the source was read, for the log and the
    summary.
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
