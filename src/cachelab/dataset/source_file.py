"""A source file: its text and its digest."""

import hashlib
import io
from dataclasses import dataclass
from typing import IO, Any

from cachelab.dataset.source_bytes import opened, path_name, unpacked
from cachelab.errors import DatasetError

MAX_BYTES = 2 << 30
"""Default of `dataset.max_bytes` for readers that hold the whole text in memory: three times the ShareGPT file."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """The text of a file (UTF-8, unpacked), and the SHA-256 (hex) of its bytes and the version of the reading rules."""

    name: str
    text: str
    digest: str

    @classmethod
    def of(cls, name: str, data: bytes, rules: str) -> "SourceFile":
        """The file with these bytes. Raises DatasetError if they are empty, damaged gzip or not UTF-8."""
        return cls._from(io.BytesIO(data), name, rules, MAX_BYTES)

    @classmethod
    def read(cls, path: str, rules: str, max_bytes: int = MAX_BYTES) -> "SourceFile":
        """The file at a path (`-`: standard input).

        Raises DatasetError that names the path if the file cannot be read, is empty, holds more than `max_bytes` bytes
        of text, is damaged gzip, or is not UTF-8.
        """
        with opened(path) as raw:
            return cls._from(raw, path_name(path), rules, max_bytes)

    @classmethod
    def _from(cls, raw: IO[bytes], name: str, rules: str, max_bytes: int) -> "SourceFile":
        digest = new_digest(rules)
        data = b"".join(unpacked(raw, name, max_bytes, digest))
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DatasetError(
                f"{name}: not UTF-8 at byte {error.start} (0x{data[error.start]:02x}): save the file as UTF-8"
            ) from error
        text = text.removeprefix("\ufeff")
        if not text or text.isspace():
            raise DatasetError(f"{name}: the file is empty: get it again, or choose another file")
        return cls(name, text, digest.hexdigest())


def new_digest(rules: str) -> Any:
    """The digest of a file that is read by these rules, before its bytes."""
    return hashlib.sha256(rules.encode() + b"\0")
