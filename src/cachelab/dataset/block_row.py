"""One line of a block trace, checked; and many lines at once where all of them are as they should be.

A row has `input_length` and `output_length` (tokens) and `hash_ids`, one for each block of the prompt; of a last block
that is partial it may be left out. It may have `timestamp`, `block_size`, `chat_id`, `parent_chat_id` (-1 or null:
none) and `output_hash_ids`, one for each block from the prompt's last full one on that the reply completes.

A row of a session has `session_id`, and but for the first one `delay` (ms after the reply before) or a `timestamp`.
Where `hash_id_scope` is "local" the row's ids are its session's, or its chat's.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from cachelab.dataset.block_fields import NEEDED, FormatError, Marks, marks_of
from cachelab.dataset.json_text import decode_json, kind, shown
from cachelab.errors import DatasetError

MAX_TOKENS = 1 << 24
"""Tokens that no prompt or reply has: more than any model's context, and an engine may hold them as an array."""

MAX_BLOCK_SIZE = 1 << 20
MAX_TIME = 1 << 53
"""Largest timestamp: up to here a float holds every whole number."""

_INT64_MAX = (1 << 63) - 1
_USUAL_SIZES = (16, 32, 64, 128, 256, 512, 1024)
_NO_CHAT = (None, -1, "-1", "")

Chat = tuple[int | str | None, int | str | None]
"""A row's chat id and its parent's."""

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
    """A checked row; `timestamp` is None where the row has none, `step` where it names no session."""

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
        """The row that an object holds. Raises DatasetError naming the file, the line and the field.

        The block size is the row's own, else that of the rows before, else the default.
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
            raise FormatError(f"{where}: fields session_id and {other} exclude each other: leave out one of the two")
        local = row.get("hash_id_scope") == "local"
        if local and step is None and chat == (None, None):
            raise FormatError(
                f"{where}: field hash_id_scope is 'local', but the row has no session_id and no chat_id: "
                "whose its ids are is not known"
            )
        marks = marks_of(row.keys())
        return cls(prompt, reply, ids, reply_ids, _time(row, where), size, chat, marks, line, step, local)

    @property
    def clocked(self) -> bool:
        """Whether the row has a time, or does without one since it has a delay."""
        return self.timestamp is not None or (self.step is not None and self.step[1] is not None)

    @staticmethod
    def columns(rows: "list[BlockRow]", names: dict[Any, int], roots: dict[Any, Any] | None = None) -> dict[str, Any]:
        """The rows as columns. Ids that are no 63-bit numbers get negative ones, the same name the same one.

        Of local ids the name is the session's and theirs; `roots` names the first chat of each chat before these rows.
        """
        roots = {} if roots is None else roots

        def numbered(ids: list[list[Any]]) -> Any:
            flat: list[int] = []
            for row, one in zip(rows, ids, strict=True):
                if row.local:
                    of = _session(row, roots)
                    flat += [names.setdefault((of, id), -1 - len(names)) for id in one]
                else:
                    flat += [
                        id if type(id) is int and id <= _INT64_MAX else names.setdefault(id, -1 - len(names))
                        for id in one
                    ]
            return np.asarray(flat, np.int64)

        delayed = [row.timestamp is None and row.clocked for row in rows]
        untimed = [row for row, late in zip(rows, delayed, strict=True) if not late]

        return {
            "prompt_tokens": np.asarray([row.prompt_tokens for row in rows], np.int64),
            "reply_tokens": np.asarray([row.reply_tokens for row in rows], np.int64),
            "ids": numbered([row.ids for row in rows]),
            "listed": np.asarray([len(row.ids) for row in rows], np.int64),
            "reply_ids": numbered([row.reply_ids for row in rows]),
            "reply_listed": np.asarray([len(row.reply_ids) for row in rows], np.int64),
            "timestamps": np.asarray(
                [math.nan if late else row.timestamp or 0.0 for row, late in zip(rows, delayed, strict=True)],
                np.float64,
            ),
            "timed": untimed[0].timestamp is not None if untimed else None,
            "block_size": rows[0].block_size,
            "chats": [row.chat for row in rows] if any(row.chat != (None, None) for row in rows) else None,
            "marks": {row.marks: row.line for row in reversed(rows)},
            "lines": np.asarray([row.line for row in rows], np.int64),
            "steps": [row.step for row in rows] if any(row.step for row in rows) else None,
        }


def usual_sizes(rows: Iterable[tuple[int, list[Any]]]) -> list[int]:
    """The usual block sizes with which prompts of so many tokens make lists of ids this long."""
    lists = list(rows)
    return [s for s in _USUAL_SIZES if all(len(ids) in (-(-prompt // s), prompt // s) for prompt, ids in lists)]


def columns_of(
    chunk: bytes, default_size: int | None, known_size: int | None, timed: bool | None = None, first_line: int = 1
) -> dict[str, Any] | None:
    """The columns of whole lines if each of them is a plain good row with numbers for ids; None if any is not.

    `timed` says whether the rows before have times; the chunk's first line has the number `first_line`.
    """
    from cachelab.dataset.row_lexer import ABSENT, KEYS, LINE, NUM_NUMBERS, SEEN, key_table, read_rows

    numbers, ids, listed, reply_ids = read_rows(np.frombuffer(chunk, np.uint8), *key_table())
    if not len(numbers):
        return None
    column = dict(zip((*KEYS[:NUM_NUMBERS], SEEN, LINE), numbers.T.copy(), strict=True))
    size = known_size or default_size
    if (own := np.unique(column["block_size"])).tolist() != [ABSENT]:
        if len(own) > 1 or (known_size is not None and own[0] != known_size):
            return None
        size = int(own[0])
    prompt, reply = column["input_length"], column["output_length"]
    if not size or not 1 <= size <= MAX_BLOCK_SIZE:
        return None
    if (prompt < 1).any() or (reply < 0).any() or max(prompt.max(), reply.max()) >= MAX_TOKENS:
        return None
    fits = (listed[:, 0] == -(-prompt // size)) | (listed[:, 0] == prompt // size)
    if not fits.all() or (listed[:, 1] > -(-(prompt + reply) // size) - prompt // size).any():
        return None
    times = column["timestamp"]
    has_time = times != ABSENT
    if has_time.any() != has_time.all() or timed not in (None, bool(has_time[0])) or times.max() > MAX_TIME:
        return None
    lines = first_line + column[LINE]
    masks, rows = np.unique(column[SEEN], return_index=True)
    marks: dict[Marks, int] = {}
    for mask, row in sorted(zip(masks.tolist(), rows.tolist(), strict=True), key=lambda one: one[1]):
        marks.setdefault(marks_of([key for bit, key in enumerate(KEYS) if mask >> bit & 1]), int(lines[row]))
    chats = None
    chat, parent = (np.where(column[key] == ABSENT, -1, column[key]) for key in ("chat_id", "parent_chat_id"))
    if (chat != -1).any() or (parent != -1).any():
        pairs = zip(chat.tolist(), parent.tolist(), strict=True)
        chats = [(None if own == -1 else own, None if of == -1 else of) for own, of in pairs]
    return {
        "prompt_tokens": prompt,
        "reply_tokens": reply,
        "ids": ids,
        "listed": listed[:, 0],
        "reply_ids": reply_ids,
        "reply_listed": listed[:, 1],
        "timestamps": np.where(has_time, times, 0).astype(np.float64),
        "timed": bool(has_time[0]),
        "block_size": size,
        "chats": chats,
        "marks": marks,
        "lines": lines,
        "steps": None,
    }


def _size(row: dict[str, Any], where: str, default_size: int | None, known_size: int | None) -> int:
    if row.get("block_size") is None:
        size = known_size or default_size
        if size is None:
            raise DatasetError(f"{where}: field block_size is missing: set dataset.block_size to the trace's")
        return size
    size = _number(row, "block_size", where, 1, MAX_BLOCK_SIZE)
    if known_size is not None and size != known_size:
        raise DatasetError(f"{where}: block_size is {size}, before it was {known_size}: one trace has one block size")
    return size


def _number(row: dict[str, Any], field: str, where: str, least: int = 0, most: int = MAX_TOKENS - 1) -> int:
    if field not in row:
        raise DatasetError(f"{where}: field {field} is missing: every row of a block trace needs it")
    value = row[field]
    if type(value) is not int or not least <= value <= most:
        raise DatasetError(
            f"{where}: field {field} is {shown(value)}, not a whole number from {least} to {most}: correct the row"
        )
    return value


def _ids(row: dict[str, Any], field: str, where: str) -> list[Any]:
    if field not in row:
        raise DatasetError(f"{where}: field {field} is missing: every row of a block trace needs it")
    values = row[field]
    if not isinstance(values, list):
        raise DatasetError(f"{where}: field {field} is {shown(values)}, not an array of block ids: correct the row")
    for index, value in enumerate(values):
        if not (type(value) is int and 0 <= value < 1 << 64) and not (isinstance(value, str) and value):
            raise DatasetError(
                f"{where}: field {field}[{index}] is {shown(value)}, not a block id (a number of 64 bits from 0, or "
                "text): correct the row"
            )
    return values


def _chat(row: dict[str, Any], field: str, where: str) -> int | str | None:
    value = row.get(field)
    if value is not None and type(value) not in (int, str):
        raise DatasetError(f"{where}: field {field} is {shown(value)}, not a whole number or text: correct the row")
    return None if value in _NO_CHAT else value


def _step(row: dict[str, Any], where: str) -> Step | None:
    session = row.get("session_id")
    delay = _time(row, where, "delay") if row.get("delay") is not None else None
    if session is None:
        if delay is not None:
            raise FormatError(f"{where}: field delay is there, session_id is not: the reply before is not known")
        return None
    if type(session) not in (int, str):
        raise DatasetError(
            f"{where}: field session_id is {shown(session)}, not a whole number or text: correct the row"
        )
    if delay is not None and delay < 0:
        raise DatasetError(
            f"{where}: field delay is {shown(delay)}, not a number of milliseconds from 0: correct the row"
        )
    return session, delay


def _session(row: BlockRow, roots: dict[Any, Any]) -> tuple[str, Any]:
    """Whose a row's local ids are."""
    if row.step is not None:
        return "session", row.step[0]
    chat, parent = row.chat
    root = roots.get(parent, parent) if parent is not None else chat
    if chat is not None:
        roots.setdefault(chat, root)
    return "chat", root


def _time(row: dict[str, Any], where: str, field: str = "timestamp") -> float | None:
    if field not in row:
        return None
    value = row[field]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DatasetError(f"{where}: field {field} is {kind(value)}, not a number: correct the row")
    if not -MAX_TIME <= value <= MAX_TIME or (isinstance(value, float) and math.isnan(value)):
        raise DatasetError(
            f"{where}: field {field} is {shown(value)}, not a number of milliseconds or seconds of at most 2^53: "
            "correct the row"
        )
    return float(value)
