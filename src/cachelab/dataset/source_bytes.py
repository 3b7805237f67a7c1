"""Reads the bytes of a source: a regular file or standard input, unpacked if it is gzip, up to a limit."""

import gzip
import io
import os
import stat
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated, Any

from pydantic import Field

from cachelab.dataset.json_text import quoted
from cachelab.errors import DatasetError
from cachelab.stage_progress import report

MaxBytes = Annotated[int, Field(gt=0, lt=1 << 63)]
"""The largest unpacked size of a source, in bytes."""

CHUNK_BYTES = 8 << 20
MAX_RATIO = 200
"""Most unpacked bytes per packed byte. JSON text has a ratio of 3 to 40, a gzip bomb of 1,000."""
RATIO_FROM = 64 << 20
"""Unpacked bytes above which the ratio is checked. A small file may have any ratio."""

READING = "reading, bytes"
"""The stage that `unpacked` reports: stored bytes."""

STANDARD_INPUT = ("-", "/dev/stdin")

_GZIP_MAGIC = b"\x1f\x8b"
_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def path_name(path: str) -> str:
    """The path as error messages show it: unchanged, or quoted and shortened if it is long or not printable."""
    return path if path.isprintable() and len(path) <= 300 else quoted(path)


@contextmanager
def opened(path: str) -> Iterator[IO[bytes]]:
    """The source, open for reading; `-` is standard input.

    Raises DatasetError that names the path if it is no regular file, or if opening or reading it fails.
    """
    name = path_name(path)
    try:
        if path in STANDARD_INPUT:
            if (stream := getattr(sys.stdin, "buffer", None)) is None:
                raise DatasetError(f"{name}: standard input is closed: set dataset.path to a file")
            yield stream
        else:
            with _regular_file(path, name).open("rb") as raw:
                yield raw
    except FileNotFoundError as error:
        raise DatasetError(f"{name}: no such file: set dataset.path to an existing file") from error
    except OSError as error:
        reason = error.strerror or error
        raise DatasetError(f"{name}: cannot be read ({reason}): set dataset.path to a readable file") from error


def _regular_file(path: str, name: str) -> Path:
    """The regular file at a path. Others are refused, because opening a pipe without a writer never returns."""
    try:
        file = Path(path).expanduser()
        mode = file.stat().st_mode
    except (RuntimeError, ValueError) as error:  # an unknown ~user; a NUL or half a surrogate pair in the path
        reason = str(error).rstrip(".")
        raise DatasetError(f"{name}: is not a valid path ({reason}): set dataset.path to a readable file") from error
    if stat.S_ISDIR(mode):
        raise DatasetError(f"{name}: is a directory, not a file: set dataset.path to a file in it")
    if not stat.S_ISREG(mode):
        what = next((what for is_kind, what in _KINDS if is_kind(mode)), "something else")
        raise DatasetError(
            f"{name}: is {what}, not a regular file: set dataset.path to a file, or to - for standard input"
        )
    return file


def unpacked(raw: IO[bytes], name: str, max_bytes: int, digest: Any = None) -> Iterator[bytes]:
    """The stream's bytes, piece by piece. `digest` is updated with the stored bytes, before unpacking.

    Raises DatasetError that names `name` if the stream is damaged gzip, is longer than `max_bytes`, or unpacks to more
    than MAX_RATIO times its stored size.
    """
    stored = _Counted(raw, digest)
    buffered = io.BufferedReader(stored, 1 << 20)
    packed = buffered.peek(2)[:2] == _GZIP_MAGIC
    stream: IO[bytes] | gzip.GzipFile = gzip.GzipFile(fileobj=buffered) if packed else buffered
    total, whole = 0, _size(raw)
    try:
        while block := stream.read(CHUNK_BYTES):
            total += len(block)
            if total > max_bytes:
                raise DatasetError(
                    f"{name}: holds more than {max_bytes:,} bytes{' when unpacked' if packed else ''}: "
                    "choose a smaller file, or set dataset.max_bytes higher"
                )
            if packed and total > max(RATIO_FROM, MAX_RATIO * stored.taken):
                raise DatasetError(
                    f"{name}: the gzip file unpacks to more than {MAX_RATIO} times its size: "
                    "if this is intended, unpack it yourself and set dataset.path to the result"
                )
            report(READING, stored.taken, whole)
            yield block
    except EOFError as error:
        raise DatasetError(f"{name}: the gzip file is truncated: get the file again") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DatasetError(f"{name}: the gzip file is damaged ({error}): get the file again") from error


def _size(raw: IO[bytes]) -> int | None:
    """The size of a regular file in bytes; None for other streams."""
    try:
        return os.fstat(raw.fileno()).st_size or None
    except (OSError, AttributeError):  # io.UnsupportedOperation of a stream in memory is an OSError
        return None


class _Counted(io.RawIOBase):
    """Counts the bytes of a stream, and updates a digest with them if there is one."""

    def __init__(self, stream: Any, digest: Any) -> None:
        self._stream, self._digest, self.taken = stream, digest, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        number: int = self._stream.readinto(buffer) or 0
        if self._digest is not None:
            self._digest.update(memoryview(buffer)[:number])
        self.taken += number
        return number
