"""Gives the block ids of a source numbers. Equal numbers mean equal blocks."""

from collections.abc import Hashable

import numpy as np
import numpy.typing as npt

from cachelab.errors import DatasetError

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]

_MOST = int(np.iinfo(np.int32).max)


class BlockNumbers:
    """Gives out block numbers from 0. A space is a scope of ids: each number belongs to one id of one space."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._used = 0
        self._known: dict[Hashable, dict[int, int]] = {}

    @property
    def used(self) -> int:
        """The number of block numbers given out so far."""
        return self._used

    def own(self) -> int:
        """A new number that belongs to no id."""
        return self._next(1)

    def of_closed_space(self, ids: Int64s) -> Int32s:
        """New numbers for distinct ids whose space is not used again. Shape of argument and result: (num_ids,)."""
        first = self._next(len(ids))
        return np.arange(first, first + len(ids), dtype=np.int32)

    def of_space(self, space: Hashable, ids: Int64s) -> Int32s:
        """The numbers of distinct ids in a space. The same id of a space always gets the same number.

        Shape of argument and result: (num_ids,).
        """
        known = self._known.setdefault(space, {})
        return np.asarray(
            [known[id] if id in known else known.setdefault(id, self._next(1)) for id in ids.tolist()], np.int32
        )

    def _next(self, number: int) -> int:
        first = self._used
        if first + number > _MOST:
            raise DatasetError(f"{self._name}: more than {_MOST:,} blocks: choose fewer files")
        self._used += number
        return first
