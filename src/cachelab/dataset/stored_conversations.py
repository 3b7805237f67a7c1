"""Conversations whose texts are in a file of their own, from which they are read when they are used."""

import os
import pickle
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, overload

from cachelab.conversation import Conversation
from cachelab.disk import writing
from cachelab.message import Message

IN_MEMORY_BYTES = 64 << 20
"""Texts up to this size stay in memory."""


@dataclass(slots=True, eq=False)
class StoredConversations(Sequence[Conversation]):
    """Conversations in the order in which they were added.

    The file has no name, so no other process can change it, and it is gone when the process ends. It is in the folder
    of temporary files (TMPDIR). Raises StorageError if its disk is full.
    """

    _ends: list[int] = field(default_factory=lambda: [0])
    _waiting: list[bytes] = field(default_factory=list)
    _waiting_bytes: int = 0
    _file: IO[bytes] | None = None
    _last: tuple[int, Conversation] | None = None
    _last_messages: tuple[int, Sequence[Sequence[Message]]] | None = None

    def add(self, conversation: Conversation) -> None:
        """Append a conversation."""
        data = pickle.dumps(conversation, pickle.HIGHEST_PROTOCOL)
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        self._ends.append(self._ends[-1] + len(data))
        if self._waiting_bytes > IN_MEMORY_BYTES:
            self._write()

    @property
    def num_bytes(self) -> int:
        """The size of all texts, as they are stored."""
        return self._ends[-1]

    def end_of(self, place: int) -> int:
        """The size of all texts up to this conversation, which is included."""
        return self._ends[place + 1]

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, place: int) -> Conversation: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Conversation]: ...

    def __getitem__(self, place: int | slice) -> Conversation | Sequence[Conversation]:
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(len(self)))]
        place = range(len(self))[place]
        if self._last is None or self._last[0] != place:
            self._last = (place, pickle.loads(self._data(place)))
        return self._last[1]

    def __iter__(self) -> Iterator[Conversation]:
        return (self[place] for place in range(len(self)))

    def prompt_messages(self, place: int) -> Sequence[Sequence[Message]]:
        """The messages of every prompt of a conversation."""
        if self._last_messages is None or self._last_messages[0] != place:
            self._last_messages = (place, self[place].prompt_messages())
        return self._last_messages[1]

    def _data(self, place: int) -> bytes:
        start, end = self._ends[place], self._ends[place + 1]
        written = self._ends[-1] - self._waiting_bytes
        if start >= written:
            return self._waiting[place - (len(self) - len(self._waiting))]
        assert self._file is not None
        return os.pread(self._file.fileno(), end - start, start)

    def _write(self) -> None:
        with writing(Path(tempfile.gettempdir()), "set TMPDIR to a folder of another disk"):
            if self._file is None:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the conversations are used)
            self._file.writelines(self._waiting)
            self._file.flush()
        self._waiting, self._waiting_bytes = [], 0
