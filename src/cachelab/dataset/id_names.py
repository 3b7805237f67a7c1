"""Numbers for the block ids of one file that are not numbers of 63 bits."""

from collections.abc import Hashable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

_FIRST_SLOTS = 1 << 12


def _slots() -> npt.NDArray[np.int32]:
    return np.full(_FIRST_SLOTS, -1, np.int32)


@dataclass(slots=True, eq=False)
class IdNames:
    """Gives equal ids equal numbers, from -1 downwards, and different ids different ones.

    `texts`: uint8, the bytes of all ids that are plain text (see row_lexer.py), one after another. `ends`: int64, the
    end of text n - 1 at ends[n]; an id of another kind has no bytes. `slots`: int32, a hash table of the texts.
    `others`: the numbers of ids that were not read by the lexer.
    """

    texts: npt.NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))
    ends: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(1, np.int64))
    slots: npt.NDArray[np.int32] = field(default_factory=_slots)
    number: int = 0
    others: dict[Hashable, int] = field(default_factory=dict)

    def make_room(self, num_bytes: int) -> None:
        """Make room for the texts of so many bytes of JSON, in which an id takes four bytes or more."""
        used = int(self.ends[self.number])
        if used + num_bytes > len(self.texts):
            texts = np.empty(2 * used + num_bytes, np.uint8)  # pages that are never used take no memory
            texts[:used] = self.texts[:used]
            self.texts = texts
        if self.number + num_bytes // 4 + 2 > len(self.ends):
            ends = np.empty(2 * self.number + num_bytes // 4 + 2, np.int64)
            ends[: self.number + 1] = self.ends[: self.number + 1]
            self.ends = ends

    def of(self, id: Hashable) -> int:
        """The number of one id, which is text, a larger number, or the pair of a scope and one of these."""
        if id not in self.others:
            self.others[id] = self._text(id) if _is_plain(id) else self._new()
        return self.others[id]

    def _text(self, id: object) -> int:
        from cachelab.dataset.row_lexer import number_text

        data = np.frombuffer(str(id).encode("ascii"), np.uint8)
        self.make_room(len(data) + 8)
        found = number_text(data, 0, len(data), self.texts, self.ends, self.slots, self.number)
        self.slots, number, self.number = found
        return -1 - int(number)

    def _new(self) -> int:
        self.make_room(8)
        self.number += 1
        self.ends[self.number] = self.ends[self.number - 1]
        return -self.number


def _is_plain(id: object) -> bool:
    """Whether the lexer reads this id as text."""
    return isinstance(id, str) and id.isascii() and id.isprintable() and '"' not in id and "\\" not in id
