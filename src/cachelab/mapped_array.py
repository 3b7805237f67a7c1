"""Arrays in files without a name, whose memory the system can take back and a stage can give back."""

import ctypes
import mmap
import os
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cachelab.disk import writing

MAPPED_FROM = 16 << 20
"""Arrays with fewer values stay in memory."""


def mapped_array(length: int, folder: Path | None = None) -> npt.NDArray[np.int32]:
    """An int32 array to fill, shape (length,). A long one is in a file without a name in `folder`.

    `folder` defaults to that of temporary files (TMPDIR). The file is gone when the array is. Raises StorageError if
    the disk is full.
    """
    if length < MAPPED_FROM:
        return np.empty(length, np.int32)
    where = folder or Path(tempfile.gettempdir())
    setting = "TMPDIR" if folder is None else "cache_dir"
    with writing(where, f"set {setting} to a folder of another disk"), tempfile.TemporaryFile(dir=where) as file:
        # Takes the room on the disk: writing to a mapped file on a full disk would end the process.
        os.posix_fallocate(file.fileno(), 0, 4 * length)
        return np.asarray(np.memmap(file, np.int32, "r+", shape=(length,)))


def give_back(array: object) -> None:
    """Give back the memory of a mapped array, or of the one of which it is a part: it is read from its file again."""
    while isinstance(array, np.ndarray):
        array = array.base
    if isinstance(array, mmap.mmap):
        array.madvise(mmap.MADV_DONTNEED)


def give_back_freed() -> None:
    """Give the system the memory that was freed and that the C library keeps for later (glibc; elsewhere nothing)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
