"""Files and folders that appear under their own name only when they are complete."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from uuid import uuid4

from cachelab.disk import writing


@contextmanager
def atomic_file(path: Path, way_out: str | None = None) -> Iterator[Path]:
    """A temporary path to write to; it becomes `path` when the context ends without an error, else it is removed.

    An existing file is replaced. Raises StorageError, which ends with `way_out`, if the disk is full. With `way_out`
    None the error of the system passes unchanged.
    """
    part = _part_of(path)
    try:
        with nullcontext() if way_out is None else writing(part, way_out):
            yield part
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path, way_out: str | None = None, *, keep_existing: bool = False) -> Iterator[Path]:
    """A new temporary folder to fill; it becomes `path` when the context ends without an error, else it is removed.

    An existing folder is replaced or, with `keep_existing`, kept: another process may have made the same folder
    meanwhile. Errors as in `atomic_file`.
    """
    part = _part_of(path)
    try:
        with nullcontext() if way_out is None else writing(part, way_out):
            part.mkdir(parents=True)
            yield part
            if path.exists() and not keep_existing:
                shutil.rmtree(path)
            try:
                part.rename(path)
            except OSError:
                if not (keep_existing and path.is_dir()):
                    raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _part_of(path: Path) -> Path:
    """A new temporary name: hidden, in the same folder. disk.py knows its ending."""
    return path.with_name(f".{path.name[:50]}.{uuid4().hex[:12]}.part")
