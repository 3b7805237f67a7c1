"""Full disks: recognizes their errors, and names the folder and the space needed."""

import errno
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cachelab.errors import StorageError

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def writing(path: Path, way_out: str) -> Iterator[None]:
    """A context that writes to the file `path`, or below the folder. Raises StorageError if the disk is full.

    The message ends with `way_out`. With one context inside another, the outer one raises the final error.
    """
    try:
        yield
    except Exception as error:  # each library wraps the system's error in one of its own
        if (reason := no_room(error)) is None:
            raise
        free = free_bytes(path)
        needed = max(free, written_bytes(path))
        room = f"{size(free)} are free" + (f", more than {size(needed)} are needed" if needed else "")
        raise StorageError(f"{_final(path)}: {reason}: {room}: free some space, or {way_out}") from error


def no_room(error: BaseException | None) -> str | None:
    """The system's message if the error, or one of its causes, is a full disk; else None."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            return os.strerror(error.errno)
        if isinstance(error, sqlite3.OperationalError) and "disk is full" in str(error):
            return str(error)
        error = error.__cause__ or error.__context__
    return None


def full_folders(folders: list[Path]) -> list[Path]:
    """The folders on whose disk less than 1 MiB is free; one file of a run may need as much."""
    return [folder for folder in dict.fromkeys(folders) if free_bytes(folder) < 1 << 20]


def free_bytes(folder: Path) -> int:
    """The bytes free on the disk of the folder, which need not exist."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def written_bytes(folder: Path) -> int:
    """The bytes of the file, or of all files below the folder."""
    if folder.is_file():
        return folder.stat().st_size
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def size(count: int) -> str:
    """A number of bytes as text: 512 B, 1.4 MiB."""
    for unit, scale in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count} B"


def _final(path: Path) -> str:
    """The path to show: the parent of a temporary name (atomic.py)."""
    return str(path.parent if path.name.endswith(".part") else path)
