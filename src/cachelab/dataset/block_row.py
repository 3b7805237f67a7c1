"""One checked row of a block trace.

A row has `input_length` and `output_length` (tokens) and `hash_ids`: one id for each block of the prompt, optional for
a partial last block. It may have `timestamp`, `block_size`, `chat_id`, `parent_chat_id` (-1 or null: none) and
`output_hash_ids`: one id for each block after the prompt's last full block that the reply completes.

A row of a session has `session_id`. Every row of a session except the first has a `delay` (ms after the previous reply)
or a `timestamp`. If `hash_id_scope` is "local", the ids are valid only in the row's session or chat.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cachelab.dataset.block_fields import NEEDED, FormatError, Marks, marks_of
from cachelab.dataset.json_text import decode_json, described, kind
from cachelab.errors import DatasetError

MAX_TOKENS = 1 << 24
"""Prompts and replies must be shorter. No model has such a context, and an engine may hold all tokens in an array."""

MAX_BLOCK_SIZE = 1 << 20
MAX_TIME = 1 << 53
"""Largest timestamp. A float represents every whole number up to it exactly."""

_USUAL_SIZES = (16, 32, 64, 128, 256, 512, 1024)
_NO_CHAT = (None, -1, "-1", "")

Chat = tuple[int | str | None, int | str | None]
"""A row's chat id and the id of its parent chat."""

Step = tuple[int | str, float | None]
"""A row's session and its delay in milliseconds."""


def row_object(line: bytes, name: str, number: int) -> dict[str, Any]:
    """The object that line `number` of the file `name` holds. Raises DatasetError naming both."""
    where = f"{name}: line {number}"
    try:
        text = line.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{where}: not UTF-8 at byte {error.start}: save the file as UTF-8") from error
    row = decode_json(text, name, f"each line of a block trace is an object with {', '.join(NEEDED)}", number)
    if not isinstance(row, dict):
        raise DatasetError(f"{where} is {kind(row)}, not an object with {', '.join(NEEDED)}")
    return row


@dataclass(frozen=True, slots=True)
class BlockRow:
    """A checked row. `timestamp` is None if the row has none. `step` is None if the row belongs to no session."""

    prompt_tokens: int
    reply_tokens: int
    ids: list[Any]
    reply_ids: list[Any]
    timestamp: float | None
    block_size: int
    chat: Chat
    marks: Marks
    line: int
    step: Step | None = None
    local: bool = False

    @classmethod
    def of(
        cls, row: dict[str, Any], name: str, line: int, default_size: int | None, known_size: int | None
    ) -> "BlockRow":
        """The row that a JSON object describes. Raises DatasetError that names the file, the line and the field.

        The block size is the row's own, otherwise that of the earlier rows, otherwise the default.
        """
        where = f"{name}: line {line}"
        size = _size(row, where, default_size, known_size)
        prompt = _number(row, "input_length", where, least=1)
        reply = _number(row, "output_length", where)
        ids = _ids(row, "hash_ids", where)
        blocks = -(-prompt // size)
        if len(ids) not in (blocks, prompt // size):
            fits = usual_sizes([(prompt, ids)])
            advice = f"block_size {fits[0]} would fit: set dataset.block_size={fits[0]}" if fits else "correct the row"
            raise DatasetError(
                f"{where}: input_length {prompt} makes {blocks} blocks of {size} tokens, "
                f"hash_ids has {len(ids)}: {advice}"
            )
        reply_ids = _ids(row, "output_hash_ids", where) if row.get("output_hash_ids") is not None else []
        if len(reply_ids) > -(-(prompt + reply) // size) - prompt // size:
            raise DatasetError(
                f"{where}: output_hash_ids has {len(reply_ids)}, more than the reply's blocks: correct the row"
            )
        chat = (_chat(row, "chat_id", where), _chat(row, "parent_chat_id", where))
        step = _step(row, where)
        if step is not None and (chat != (None, None) or row.get("output_hash_ids") is not None):
            other = "output_hash_ids" if chat == (None, None) else "chat_id"
            raise FormatError(f"{where}: a row cannot have both session_id and {other}: remove one of the two fields")
        local = row.get("hash_id_scope") == "local"
        if local and step is None and chat == (None, None):
            raise FormatError(
                f"{where}: field hash_id_scope is 'local', but the row has no session_id and no chat_id: "
                "the scope of its ids is unknown, add one of the two"
            )
        marks = marks_of(row.keys())
        return cls(prompt, reply, ids, reply_ids, _time(row, where), size, chat, marks, line, step, local)

    @property
    def clocked(self) -> bool:
        """Whether the row has a time, or a delay that replaces it."""
        return self.timestamp is not None or (self.step is not None and self.step[1] is not None)


def usual_sizes(rows: Iterable[tuple[int, list[Any]]]) -> list[int]:
    """The usual block sizes that fit all rows, each given as (prompt tokens, ids of its blocks)."""
    lists = list(rows)
    return [s for s in _USUAL_SIZES if all(len(ids) in (-(-prompt // s), prompt // s) for prompt, ids in lists)]


def _size(row: dict[str, Any], where: str, default_size: int | None, known_size: int | None) -> int:
    if row.get("block_size") is None:
        size = known_size or default_size
        if size is None:
            raise DatasetError(f"{where}: field block_size is missing: set dataset.block_size to the trace's")
        return size
    size = _number(row, "block_size", where, 1, MAX_BLOCK_SIZE)
    if known_size is not None and size != known_size:
        raise DatasetError(
            f"{where}: block_size is {size}, but it was {known_size} in earlier rows: a trace has one block size"
        )
    return size


def _number(row: dict[str, Any], field: str, where: str, least: int = 0, most: int = MAX_TOKENS - 1) -> int:
    if field not in row:
        raise DatasetError(f"{where}: field {field} is missing: every row of a block trace needs it")
    value = row[field]
    if type(value) is not int or not least <= value <= most:
        raise DatasetError(
            f"{where}: field {field} is {described(value)}, not a whole number from {least} to {most}: correct the row"
        )
    return value


def _ids(row: dict[str, Any], field: str, where: str) -> list[Any]:
    if field not in row:
        raise DatasetError(f"{where}: field {field} is missing: every row of a block trace needs it")
    values = row[field]
    if not isinstance(values, list):
        raise DatasetError(f"{where}: field {field} is {described(values)}, not an array of block ids: correct the row")
    for index, value in enumerate(values):
        if not (type(value) is int and 0 <= value < 1 << 64) and not (isinstance(value, str) and value):
            raise DatasetError(
                f"{where}: field {field}[{index}] is {described(value)}, not a block id (a number of 64 bits from 0, "
                "or text): correct the row"
            )
    return values


def _chat(row: dict[str, Any], field: str, where: str) -> int | str | None:
    value = row.get(field)
    if value is not None and type(value) not in (int, str):
        raise DatasetError(f"{where}: field {field} is {described(value)}, not a whole number or text: correct the row")
    return None if value in _NO_CHAT else value


def _step(row: dict[str, Any], where: str) -> Step | None:
    session = row.get("session_id")
    delay = _time(row, where, "delay") if row.get("delay") is not None else None
    if session is None:
        if delay is not None:
            raise FormatError(
                f"{where}: field delay is present without session_id, so the previous reply is unknown: add session_id "
                "or set dataset.ignore_fields=[delay]"
            )
        return None
    if type(session) not in (int, str):
        raise DatasetError(
            f"{where}: field session_id is {described(session)}, not a whole number or text: correct the row"
        )
    if delay is not None and delay < 0:
        raise DatasetError(
            f"{where}: field delay is {described(delay)}, not a number of milliseconds from 0: correct the row"
        )
    return session, delay


def _time(row: dict[str, Any], where: str, field: str = "timestamp") -> float | None:
    if field not in row:
        return None
    value = row[field]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DatasetError(f"{where}: field {field} is {kind(value)}, not a number: correct the row")
    if not -MAX_TIME <= value <= MAX_TIME or (isinstance(value, float) and math.isnan(value)):
        raise DatasetError(
            f"{where}: field {field} is {described(value)}, not a number of milliseconds or seconds of at most 2^53: "
            "correct the row"
        )
    return float(value)
