"""Reads the records of a file: JSON, JSON Lines (plain or gzip) or Parquet."""

import os
from collections.abc import Iterator
from typing import Any

from cachelab.dataset.json_records import json_records
from cachelab.dataset.source_bytes import CHUNK_BYTES, STANDARD_INPUT, opened, path_name, unpacked
from cachelab.errors import DatasetError

MAX_BYTES = 64 << 30
"""Default of `dataset.max_bytes` for readers that read record by record: the most bytes of text per file, unpacked."""

_ROWS = 256  # Parquet rows in memory at a time
PARQUET = b"PAR1"
"""The first bytes of a Parquet file."""


def file_records(path: str, max_bytes: int, digest: Any) -> Iterator[tuple[str, Any]]:
    """Each record of a file with its place, as error messages name it. `digest` is updated with the file's bytes.

    Raises DatasetError that names the path if the file cannot be read, or holds no JSON or Parquet records.
    """
    name = path_name(path)
    if path not in STANDARD_INPUT and _begins_with(path, PARQUET):
        with opened(path) as raw:
            while piece := raw.read(CHUNK_BYTES):
                digest.update(piece)
        yield from parquet_records(path)
        return
    with opened(path) as raw:
        yield from json_records(unpacked(raw, name, max_bytes, digest), name)


def _begins_with(path: str, magic: bytes) -> bool:
    with opened(path) as raw:
        return raw.read(len(magic)) == magic


def _printable(error: Exception) -> str:
    """The first line of an error's text; an unprintable character is written as in a Python string."""
    line = (str(error).splitlines() or [type(error).__name__])[0]
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in line)


def parquet_records(path: str) -> Iterator[tuple[str, Any]]:
    """Each row of a Parquet file with its place, as error messages name it. Raises DatasetError if it is damaged."""
    import pyarrow
    import pyarrow.parquet as parquet

    name = path_name(path)
    try:
        with parquet.ParquetFile(os.path.expanduser(path)) as table:
            row = 0
            for batch in table.iter_batches(_ROWS):
                for value in batch.to_pylist():
                    yield f"{name}: row {row}", value
                    row += 1
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:  # ValueError: text that is not UTF-8
        raise DatasetError(f"{name}: the Parquet file is damaged ({_printable(error)}): get the file again") from error
    if not row:
        raise DatasetError(f"{name}: the Parquet file holds no rows: choose a file that holds conversations")
