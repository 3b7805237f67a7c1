"""JSON text of a source file, and what can be wrong with it."""

import json
from typing import Any

from cachelab.errors import DatasetError

_KINDS = {dict: "an object", list: "an array", str: "text", bool: "true or false", int: "a number", float: "a number"}


def decode_json(text: str, where: str, advice: str, line: int | None = None) -> Any:
    """The value that the text holds (the whole text is line `line`, if given). Raises DatasetError naming the place."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        cut = error.msg.startswith("Unterminated string") or error.pos >= len(text.rstrip())
        at = f"line {line or error.lineno} column {error.colno}"
        what = "the JSON is cut off" if cut else f"not JSON ({error.msg.lower().removesuffix(' at')})"
        truncated = "the file is truncated, get it again"
        way_out = advice if not cut else truncated if line is None else f"{truncated}, or not JSON Lines: {advice}"
        raise DatasetError(f"{where}: {what} at {at}: {way_out}") from error
    except RecursionError as error:
        at = f" at line {line}" if line else ""
        raise DatasetError(f"{where}: the JSON is nested too deeply{at}: {advice}") from error
    except ValueError as error:  # a number with more digits than Python reads
        at = f" at line {line}" if line else ""
        raise DatasetError(f"{where}: not usable JSON{at} ({str(error).split(';')[0]}): {advice}") from error


def kind(value: object) -> str:
    """What a JSON value is, in words."""
    return "null" if value is None else _KINDS[type(value)]


def is_unicode(text: str) -> bool:
    """Whether the text can be encoded: JSON's escapes can hold half of a surrogate pair, which no tokenizer takes."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
