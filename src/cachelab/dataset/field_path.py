"""Reads fields of a log's row by path, also inside objects: `request.body.messages`."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from cachelab.dataset.json_text import kind, quoted
from cachelab.errors import DatasetError

Row = dict[str, Any]
LONGEST_VALUE = 200
"""The most characters of a value by which requests are grouped or isolated. Longer values are texts, not names."""


def value_at(row: Row, path: str) -> Any:
    """The value at a path; None if there is none.

    JSON text of an object or array, as databases export it, is parsed and replaced in the row.
    """
    value: Any = row
    if path in row:
        return _opened(row, path)
    for name in path.split("."):
        if not isinstance(value, dict) or name not in value:
            return None
        value = _opened(value, name)
    return value


def first_value(objects: Iterable[Row], names: Iterable[str]) -> tuple[str, Any]:
    """Name and value of the first field that is neither null nor "", object by object; ("", None) if there is none."""
    for fields in objects:
        for name in names:
            if (value := value_at(fields, name)) not in (None, ""):
                return name, value
    return "", None


def first_scalar(objects: Iterable[Row], names: Iterable[str]) -> str | None:
    """The first field that is not null, as `scalar` reads it."""
    name, value = first_value(objects, names)
    return scalar(value, name)


def scalar(value: Any, field: str) -> str | None:
    """A value that names something, as text; None for null and "". Raises DatasetError if it is not a name."""
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int | float):
        raise DatasetError(f"field {field} is {kind(value)}, not text or a number")
    text = str(value)
    if len(text) > LONGEST_VALUE or not text.isprintable():
        raise DatasetError(
            f"field {field} is {quoted(text)}, not a name of at most {LONGEST_VALUE} printable characters"
        )
    return text


def _opened(fields: Row, name: str) -> Any:
    value = fields[name]
    if isinstance(value, str) and value.lstrip().startswith(("{", "[")):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return fields[name]
        fields[name] = value
    return value


def names_of(fields: Mapping[str, Any]) -> str:
    """The names of an object's fields, for errors."""
    names = sorted(map(str, fields))
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "") or "none"
