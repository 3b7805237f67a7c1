"""The first records of a file, from which its format is recognised."""

import codecs
import json
import re
from dataclasses import dataclass
from typing import Any, Literal

from cachelab.dataset.json_text import decode_json
from cachelab.dataset.source_bytes import STANDARD_INPUT, opened, path_name, unpacked
from cachelab.errors import DatasetError

RECORDS = 100
"""How many records are looked at."""

MAX_OPENING = 256 << 20
"""Most bytes that are read in search of a whole record."""

Layout = Literal["array", "lines", "object", "table", "parquet", "other"]

_COLUMN = re.compile(r"[\w .()/#%-]{1,40}")
_DECODER = json.JSONDecoder()
_ADVICE = "cachelab reads JSON, JSON Lines and Parquet"


@dataclass(frozen=True, slots=True)
class Opening:
    """How a file begins.

    `records` are the first values of a JSON array, the first lines of JSON Lines, or the one object; of a table (CSV)
    `columns` are the names.
    """

    name: str
    layout: Layout
    records: tuple[Any, ...] = ()
    columns: tuple[str, ...] = ()

    @classmethod
    def of(cls, path: str) -> "Opening":
        """The opening of a file, plain or gzip. Raises DatasetError naming the file if it cannot be read."""
        name = path_name(path)
        if path in STANDARD_INPUT:
            raise DatasetError(f"{name}: standard input can be read once only: name its format, dataset=OPTION")
        text, taken, decoder = "", 0, codecs.getincrementaldecoder("utf-8-sig")()
        with opened(path) as raw:
            pieces = unpacked(raw, name, 1 << 62)
            for piece in pieces:
                if not text and piece.startswith(b"PAR1"):
                    return cls(name, "parquet")
                try:
                    text = (text + decoder.decode(piece)).lstrip()
                except UnicodeDecodeError as error:
                    text = (text + error.object[: error.start].decode("utf-8", "replace")).lstrip("\ufeff \t\r\n")
                    if not text.startswith(("[", "{")):
                        return cls(name, "other")
                    at = taken + len(piece) - len(error.object) + error.start
                    raise DatasetError(
                        f"{name}: not UTF-8 at byte {at} (0x{error.object[error.start]:02x}): save the file as UTF-8"
                    ) from error
                taken += len(piece)
                if text and (found := _opening(name, text)) is not None:
                    return found
                if len(text) > MAX_OPENING:
                    size = f"{MAX_OPENING >> 20} MB"
                    raise DatasetError(f"{name}: no whole record in the first {size}: name its format, dataset=OPTION")
        if not text:
            raise DatasetError(f"{name}: the file is empty: get it again, or choose another file")
        return _whole(name, text)


def _opening(name: str, text: str) -> Opening | None:
    """What the beginning of a file's text tells; None if more of it is needed."""
    if text[0] not in "[{":
        return _no_json(name, text)
    records = _records(text)
    if len(records) < RECORDS:
        return None
    return Opening(name, "array" if text[0] == "[" else "lines", tuple(records))


def _whole(name: str, text: str) -> Opening:
    """What a file's whole text tells."""
    if text[0] not in "[{":
        return _no_json(name, text)
    records = tuple(_records(text))
    if text[0] == "[":
        return Opening(name, "array", records or tuple(decode_json(text, name, _ADVICE)))
    if not records:
        decode_json(text.partition("\n")[0] if "\n{" in text else text, name, _ADVICE)
    return Opening(name, "object" if len(records) == 1 else "lines", records)


def _records(text: str) -> list[Any]:
    """The first values of an array or of JSON Lines, up to one that is not whole."""
    at = 1 if text[0] == "[" else 0
    records: list[Any] = []
    while len(records) < RECORDS:
        while at < len(text) and (text[at].isspace() or text[at] == ","):
            at += 1
        if at == len(text) or text[at] == "]":
            break
        try:
            value, at = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            break
        if text[0] == "{" and text[at : at + 1] and not text[at : _line_end(text, at)].isspace():
            break
        records.append(value)
    return records


def _line_end(text: str, at: int) -> int:
    """The place after the line that holds a place."""
    return text.find("\n", at) + 1 or len(text)


def _no_json(name: str, text: str) -> Opening:
    header = text.partition("\n")[0]
    columns = tuple(column.strip().strip('"') for column in header.split(","))
    table = len(columns) > 1 and all(_COLUMN.fullmatch(column) for column in columns)
    return Opening(name, "table", columns=columns) if table else Opening(name, "other")
