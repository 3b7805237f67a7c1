"""Decodes JSON text of a source file, with errors that name the place."""

import json
import math
from typing import Any

from cachelab.error_format import shown
from cachelab.errors import DatasetError

_KINDS = {dict: "an object", list: "an array", str: "text", bool: "true or false", int: "a number", float: "a number"}
_LONGEST = 60  # characters of a value in an error message


class _DuplicateKey(ValueError):
    """An object has a key twice. JSON does not define which of the two values applies."""

    def __init__(self, key: str) -> None:
        self.key = key


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _DuplicateKey(next(key for key in keys if keys.count(key) > 1))
    return made


_DECODER = json.JSONDecoder(object_pairs_hook=_object)


def decode_json(text: str, name: str, advice: str, line: int | None = None) -> Any:
    """The JSON value of the text. `line`: the number of the file's line that the text is; None: it is the whole file.

    Raises DatasetError that names the file (`name`) and the line, or the item of the top-level array.
    """
    where = name if line is None else f"{name}: line {line}"
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        cut = error.msg.startswith("Unterminated string") or error.pos >= len(text.rstrip())
        at = f"line {line or error.lineno} column {error.colno}"
        what = "the JSON is cut off" if cut else f"not JSON ({error.msg.lower().removesuffix(' at')})"
        truncated = "the file is truncated, get it again"
        way_out = advice if not cut else truncated if line is None else f"{truncated}, or not JSON Lines: {advice}"
        raise DatasetError(f"{name}: {at}: {what}: {way_out}") from error
    except _DuplicateKey as error:
        item = _item_with_duplicate(text) if line is None else ""
        raise DatasetError(f"{where}{item}: key {quoted(error.key)} appears twice in one object: remove one") from error
    except RecursionError as error:
        raise DatasetError(f"{where}: the JSON is nested too deeply: {advice}") from error
    except ValueError as error:  # a number with more digits than Python reads
        raise DatasetError(f"{where}: not usable JSON ({str(error).split(';')[0]}): {advice}") from error


def _item_with_duplicate(text: str) -> str:
    """The place of an object that has a key twice, as error messages name it: item and line, or only the line."""
    start = len(text) - len(text.lstrip())
    at = start + 1
    item = 0
    while text[start] == "[":
        while text[at] in " \t\r\n,":
            at += 1
        try:
            _, at = _DECODER.raw_decode(text, at)
        except _DuplicateKey:
            return f": item {item} (line {text.count(chr(10), 0, at) + 1})"
        item += 1
    return f": the top-level object (line {text.count(chr(10), 0, start) + 1})"


def kind(value: object) -> str:
    """The type of a JSON value in words. Any other value is named by its Python type."""
    return "null" if value is None else _KINDS.get(type(value), f"a {type(value).__name__}")


def described(value: object) -> str:
    """A number as in JSON, shortened if it is long. Any other value: its type in words."""
    if type(value) is float and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return shown(value, _LONGEST) if type(value) in (int, float) else kind(value)


def quoted(text: str) -> str:
    """The text in quotes, in one printable line, shortened if it is long."""
    return shown(text, _LONGEST)


def is_unicode(text: str) -> bool:
    """Whether the text is valid Unicode. JSON's escapes can be lone surrogates, which no tokenizer accepts."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def decode_value(text: str, at: int) -> tuple[Any, int]:
    """The JSON value that starts at index `at`, and the index after it.

    Raises JSONDecodeError if it is not JSON or is cut off, DatasetError if an object has a key twice.
    """
    try:
        return _DECODER.raw_decode(text, at)
    except _DuplicateKey as error:
        raise DatasetError(f"key {quoted(error.key)} appears twice in one object: remove one") from error
