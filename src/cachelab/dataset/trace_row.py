"""One line of a trace file, checked field by field."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from cachelab.dataset.json_text import described, is_unicode, kind
from cachelab.errors import DatasetError
from cachelab.message import Isolation
from cachelab.tokens import TokenIds

FIELDS = ("prompt", "response", "conversation_id", "turn_index", "timestamp")
"""The fields of every row."""

EXACT_FIELDS = ("tokenizer", "prompt_kept_tokens", "prompt_new_token_ids", "response_token_ids")
"""The fields of a row with exact token ids; a row has all of them or none."""

ISOLATION_FIELD = "isolation"
"""An optional object with `cache_salt`, `lora` and `model`, which are part of the identity of the row's blocks."""

TIME_FIELDS = ("think_s", "timestamp_recorded")
"""Optional: seconds between the previous reply and this prompt; false if `timestamp` is a number without a meaning."""

MAX_SECONDS = 1e13
"""Largest time: 300,000 years. Nanoseconds and milliseconds of it do not overflow as floats."""

_INT32_MAX = int(np.iinfo(np.int32).max)


@dataclass(frozen=True, slots=True, eq=False)
class ExactIds:
    """Token ids of a row. Those of the prompt are stored as the difference to the previous turn.

    Shapes: new_ids (prompt_tokens - kept_tokens,), response_ids (response_tokens,).
    """

    tokenizer: str
    kept_tokens: int
    new_ids: TokenIds
    response_ids: TokenIds


@dataclass(frozen=True, slots=True, eq=False)
class TraceRow:
    """A row and its line number, from 1. `timestamp_s` is None if the row says that its time was not recorded."""

    line: int
    prompt: str
    response: str
    conversation_id: str
    turn_index: int
    timestamp_s: float | None
    exact: ExactIds | None
    isolation: Isolation | None
    think_s: float | None = None

    @classmethod
    def of(cls, document: object, where: str, line: int) -> "TraceRow":
        """The row that a JSON value describes. Raises DatasetError that names `where` and the field."""
        if not isinstance(document, dict):
            raise DatasetError(f"{where} is {kind(document)}, not an object with {', '.join(FIELDS)}")
        conversation_id = _text(document, "conversation_id", where)
        if not conversation_id.strip():
            raise DatasetError(f"{where}: field conversation_id is blank: name the conversation")
        return cls(
            line,
            _text(document, "prompt", where),
            _text(document, "response", where),
            conversation_id,
            _count(document, "turn_index", where),
            _timestamp(document, where),
            _exact_ids(document, where),
            _isolation(document, where),
            _think(document, where),
        )


def _exact_ids(document: dict[str, Any], where: str) -> ExactIds | None:
    if not any(field in document for field in EXACT_FIELDS):
        return None
    return ExactIds(
        _text(document, "tokenizer", where),
        _count(document, "prompt_kept_tokens", where),
        _ids(document, "prompt_new_token_ids", where),
        _ids(document, "response_token_ids", where),
    )


def _isolation(document: dict[str, Any], where: str) -> Isolation | None:
    value = document.get(ISOLATION_FIELD)
    if value is None:
        return None
    names = tuple(field.name for field in fields(Isolation))
    if not isinstance(value, dict) or not value.keys() <= set(names):
        raise DatasetError(f"{where}: field isolation is not an object with {', '.join(names)}: correct the row")
    for name, text in value.items():
        if text is not None and not (isinstance(text, str) and is_unicode(text)):
            raise DatasetError(f"{where}: field isolation.{name} is {kind(text)}, not text or null: correct the row")
    return Isolation(**value)


def _field(document: dict[str, Any], field: str, where: str) -> Any:
    if field not in document:
        needs = "token ids need all of " + ", ".join(EXACT_FIELDS) if field in EXACT_FIELDS else "every row needs it"
        raise DatasetError(f"{where}: field {field} is missing: {needs}")
    return document[field]


def _text(document: dict[str, Any], field: str, where: str) -> str:
    value = _field(document, field, where)
    if not isinstance(value, str):
        raise DatasetError(f"{where}: field {field} is {kind(value)}, not text: correct the row")
    if not is_unicode(value):
        raise DatasetError(f"{where}: field {field} holds half of a surrogate pair: write valid Unicode")
    return value


def _count(document: dict[str, Any], field: str, where: str) -> int:
    value = _field(document, field, where)
    if type(value) is not int or value < 0:
        raise DatasetError(f"{where}: field {field} is {described(value)}, not a whole number from 0: correct the row")
    return value


def _seconds(document: dict[str, Any], field: str, where: str) -> float:
    value = _field(document, field, where)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DatasetError(f"{where}: field {field} is {kind(value)}, not a number of seconds: correct the row")
    if not -MAX_SECONDS <= value <= MAX_SECONDS:  # also refuses NaN
        raise DatasetError(
            f"{where}: field {field} is {described(value)}, not a finite number of seconds of at most "
            f"{MAX_SECONDS:.0e}: correct the row"
        )
    return float(value)


def _timestamp(document: dict[str, Any], where: str) -> float | None:
    seconds, recorded = _seconds(document, "timestamp", where), document.get("timestamp_recorded", True)
    if not isinstance(recorded, bool):
        raise DatasetError(
            f"{where}: field timestamp_recorded is {described(recorded)}, not true or false: correct the row"
        )
    return seconds if recorded else None


def _think(document: dict[str, Any], where: str) -> float | None:
    if document.get("think_s") is None:
        return None
    seconds = _seconds(document, "think_s", where)
    if seconds < 0:
        raise DatasetError(f"{where}: field think_s is {described(seconds)}, not seconds from 0: correct the row")
    return seconds


def _ids(document: dict[str, Any], field: str, where: str) -> TokenIds:
    values = _field(document, field, where)
    if not isinstance(values, list):
        raise DatasetError(f"{where}: field {field} is {kind(values)}, not an array of token ids: correct the row")
    for index, value in enumerate(values):
        if type(value) is not int or not 0 <= value <= _INT32_MAX:
            raise DatasetError(
                f"{where}: field {field}[{index}] is {described(value)}, not a token id from 0 to {_INT32_MAX}: "
                "correct the row"
            )
    return np.asarray(values, dtype=np.int32)
