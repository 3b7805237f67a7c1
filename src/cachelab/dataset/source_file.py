"""A source file: its text, and the digest that tells it from every other."""

import gzip
import hashlib
import zlib
from dataclasses import dataclass
from pathlib import Path

from cachelab.errors import DatasetError

_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file's text (UTF-8, unpacked if it was gzip) and the SHA-256 (hex) of its bytes and the rules that read it."""

    name: str
    text: str
    digest: str

    @classmethod
    def of(cls, name: str, data: bytes, rules: str) -> "SourceFile":
        """The file with these bytes. Raises DatasetError if they are empty, damaged gzip, or not UTF-8."""
        digest = hashlib.sha256(rules.encode() + b"\0" + data).hexdigest()
        if data.startswith(_GZIP_MAGIC):
            data = _unpacked(name, data)
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DatasetError(
                f"{name}: not UTF-8 at byte {error.start} (0x{data[error.start]:02x}): save the file as UTF-8"
            ) from error
        text = text.removeprefix("\ufeff")
        if not text.strip():
            raise DatasetError(f"{name}: the file is empty: get it again, or choose another file")
        return cls(name, text, digest)

    @classmethod
    def read(cls, path: str, rules: str) -> "SourceFile":
        """The file at a path. Raises DatasetError, naming the path, if it cannot be read."""
        file = Path(path).expanduser()
        try:
            data = file.read_bytes()
        except FileNotFoundError as error:
            raise DatasetError(f"{path}: no such file: set dataset.path to an existing file") from error
        except IsADirectoryError as error:
            raise DatasetError(f"{path}: is a directory, not a file: set dataset.path to a file in it") from error
        except OSError as error:
            raise DatasetError(
                f"{path}: cannot be read ({error.strerror or error}): set dataset.path to a readable file"
            ) from error
        return cls.of(path, data, rules)


def _unpacked(name: str, data: bytes) -> bytes:
    try:
        return gzip.decompress(data)
    except EOFError as error:
        raise DatasetError(f"{name}: the gzip file is truncated: get the file again") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DatasetError(f"{name}: the gzip file is damaged ({error}): get the file again") from error
