"""The first records of a file, from which its format is recognised."""

import codecs
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Literal

from cachelab.dataset.json_records import json_records
from cachelab.dataset.record_files import PARQUET, parquet_records
from cachelab.dataset.source_bytes import STANDARD_INPUT, opened, path_name, unpacked
from cachelab.errors import DatasetError

RECORDS = 100
"""How many records are read."""

MAX_OPENING = 256 << 20
"""The most bytes that are read to find these records."""

Layout = Literal["array", "lines", "object", "parquet", "table", "other"]

_COLUMN = re.compile(r"[\w .()/#%-]{1,40}")
_HEADER_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Opening:
    """The beginning of a file.

    `records`: the first objects of a JSON array, of JSON Lines or of Parquet, or the only object of the file.
    `columns`: the column names of a table (CSV).
    """

    name: str
    layout: Layout
    records: tuple[dict[str, Any], ...] = ()
    columns: tuple[str, ...] = ()

    @classmethod
    def of(cls, path: str) -> "Opening":
        """The opening of a file, plain or gzip. Raises DatasetError that names the file if it cannot be read."""
        name = path_name(path)
        if path in STANDARD_INPUT:
            raise DatasetError(f"{name}: standard input can be read only once: name its format with dataset=OPTION")
        with opened(path) as raw:
            pieces = unpacked(raw, name, 1 << 62)
            read: list[bytes] = []
            start = b""
            while len(start) < len(PARQUET) and (piece := next(pieces, b"")):
                read.append(piece)
                start = (start + piece).removeprefix(codecs.BOM_UTF8).lstrip(b" \t\r\n")
            if start.startswith(PARQUET):
                return cls(name, "parquet", tuple(value for _, value in islice(parquet_records(path), RECORDS)))
            if start and not start.startswith((b"[", b"{")):
                return _no_records(name, start)
            records = _first_records(chain(read, pieces), name)
        return cls(name, "array" if start.startswith(b"[") else "lines" if len(records) > 1 else "object", records)


def _first_records(pieces: Iterable[bytes], name: str) -> tuple[dict[str, Any], ...]:
    """The first RECORDS records of JSON text; fewer if MAX_OPENING bytes hold fewer."""
    records: list[dict[str, Any]] = []
    size = 0

    def counted() -> Iterator[bytes]:
        nonlocal size
        for piece in pieces:
            size += len(piece)
            if size > MAX_OPENING and not records:
                limit = f"{MAX_OPENING >> 20} MB"
                raise DatasetError(f"{name}: no whole record in the first {limit}: name its format with dataset=OPTION")
            yield piece

    for _, value in json_records(counted(), name):
        records.append(value)
        if len(records) == RECORDS or size > MAX_OPENING:
            break
    return tuple(records)


def _no_records(name: str, start: bytes) -> Opening:
    header = start.partition(b"\n")[0][:_HEADER_BYTES].decode("utf-8", "replace")
    columns = tuple(column.strip().strip('"') for column in header.split(","))
    table = len(columns) > 1 and all(_COLUMN.fullmatch(column) for column in columns)
    return Opening(name, "table", columns=columns) if table else Opening(name, "other")
