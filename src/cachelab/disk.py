"""A disk without room, in one line that names the folder and the space needed."""

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
    """What is written to a file, or below a folder. Raises StorageError, whatever says so, if it has no room.

    Of contexts inside one another the outermost speaks.
    """
    try:
        yield
    except Exception as error:  # each library wraps the system's error in its own
        if (reason := no_room(error)) is None:
            raise
        free = free_bytes(path)
        needed = max(free, written_bytes(path))
        room = f"{size(free)} are free" + (f", more than {size(needed)} are needed" if needed else "")
        raise StorageError(f"{shown(path)}: {reason}: {room}: free some space, or {way_out}") from error


def no_room(error: BaseException | None) -> str | None:
    """What the system said if the error, or one that it came from, is a disk without room; else None."""
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
    """Those of the folders whose disk has less room than any file of a run may need (1 MiB)."""
    return [folder for folder in dict.fromkeys(folders) if free_bytes(folder) < 1 << 20]


def free_bytes(folder: Path) -> int:
    """Bytes that may still be written below the folder, which need not exist."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def written_bytes(folder: Path) -> int:
    """Bytes of the file, or of all files below the folder."""
    if folder.is_file():
        return folder.stat().st_size
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def size(count: int) -> str:
    """Bytes for people: 512 B, 1.4 MiB."""
    for unit, scale in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count} B"


def shown(path: Path) -> str:
    """The path without the name of a part that is renamed when it is complete."""
    return str(path.parent if path.name.endswith(".part") else path)
