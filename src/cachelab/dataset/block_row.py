"""One line of a block trace, checked; and many lines at once where all of them are as they should be.

A row has `input_length` and `output_length` (tokens) and `hash_ids`, one for each block of the prompt; of a last block
that is partial it may be left out. It may have `timestamp` (ms), `block_size`, `chat_id`, `parent_chat_id` (-1 or null:
none) and `output_hash_ids`, one for each block from the prompt's last full one on that the reply completes.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from cachelab.dataset.json_text import decode_json, kind
from cachelab.errors import DatasetError

FIELDS = ("input_length", "output_length", "hash_ids")
MAX_TOKENS = 1 << 31
_INT64_MAX = (1 << 63) - 1
_USUAL_SIZES = (16, 32, 64, 128, 256, 512, 1024)


@dataclass(frozen=True, slots=True)
class BlockRow:
    """A checked row."""

    prompt_tokens: int
    reply_tokens: int
    ids: list[Any]
    reply_ids: list[Any]
    timestamp_ms: float
    block_size: int
    chat: tuple[Any, Any] | None

    @classmethod
    def of(cls, line: bytes, where: str, default_size: int | None, known_size: int | None) -> "BlockRow":
        """The row that a line holds. Raises DatasetError naming `where` and the field.

        The block size is the row's own, else that of the rows before, else the default.
        """
        try:
            text = line.decode("utf-8").removeprefix("\ufeff")
        except UnicodeDecodeError as error:
            raise DatasetError(f"{where}: not UTF-8 at byte {error.start}: save the file as UTF-8") from error
        row = decode_json(text, where, f"each line of a block trace is an object with {', '.join(FIELDS)}", 1)
        if not isinstance(row, dict):
            raise DatasetError(f"{where} is {kind(row)}, not an object with {', '.join(FIELDS)}")
        size = _size(row, where, default_size, known_size)
        prompt = _number(row, "input_length", where, least=1)
        reply = _number(row, "output_length", where)
        ids = _ids(row, "hash_ids", where)
        blocks = -(-prompt // size)
        if len(ids) not in (blocks, prompt // size):
            fits = [s for s in _USUAL_SIZES if len(ids) in (-(-prompt // s), prompt // s)]
            advice = f"block_size {fits[0]} would fit: set dataset.block_size={fits[0]}" if fits else "correct the row"
            raise DatasetError(
                f"{where}: input_length {prompt} makes {blocks} blocks of {size} tokens, "
                f"hash_ids has {len(ids)}: {advice}"
            )
        reply_ids = _ids(row, "output_hash_ids", where) if row.get("output_hash_ids") is not None else []
        if len(reply_ids) > -(-(prompt + reply) // size) - prompt // size:
            raise DatasetError(f"{where}: output_hash_ids has {len(reply_ids)}, more than the reply's blocks")
        chat = (row["chat_id"], row.get("parent_chat_id")) if row.get("chat_id") is not None else None
        if chat and not all(part is None or type(part) in (int, str) for part in chat):
            raise DatasetError(f"{where}: chat_id and parent_chat_id must be whole numbers or text: correct the row")
        return cls(prompt, reply, ids, reply_ids, _time(row, where), size, chat)

    @staticmethod
    def columns(rows: "list[BlockRow]", names: dict[Any, int]) -> dict[str, Any]:
        """The rows as columns. Ids that are no 63-bit numbers get negative ones, the same name the same one."""

        def numbered(ids: list[list[Any]]) -> Any:
            flat = [
                id if type(id) is int and id <= _INT64_MAX else names.setdefault(id, -1 - len(names))
                for one in ids
                for id in one
            ]
            return np.asarray(flat, np.int64)

        return {
            "prompt_tokens": np.asarray([row.prompt_tokens for row in rows], np.int64),
            "reply_tokens": np.asarray([row.reply_tokens for row in rows], np.int64),
            "ids": numbered([row.ids for row in rows]),
            "listed": np.asarray([len(row.ids) for row in rows], np.int64),
            "reply_ids": numbered([row.reply_ids for row in rows]),
            "reply_listed": np.asarray([len(row.reply_ids) for row in rows], np.int64),
            "timestamps_ms": np.asarray([row.timestamp_ms for row in rows], np.float64),
            "block_size": rows[0].block_size,
            "chats": [row.chat for row in rows] if all(row.chat for row in rows) else None,
        }


def columns_of(chunk: bytes, default_size: int | None, known_size: int | None) -> dict[str, Any] | None:
    """The columns of whole lines if each of them is a plain good row with numbers for ids; None if any is not."""
    from cachelab.replay.kernels.rows import ABSENT, KEYS, NUM_NUMBERS, key_table, read_rows

    numbers, ids, listed, reply_ids = read_rows(np.frombuffer(chunk, np.uint8), *key_table())
    if not len(numbers):
        return None
    column = dict(zip(KEYS[:NUM_NUMBERS], numbers.T.copy(), strict=True))
    size = known_size or default_size
    if (own := np.unique(column["block_size"])).tolist() != [ABSENT]:
        if len(own) > 1 or (known_size is not None and own[0] != known_size):
            return None
        size = int(own[0])
    prompt, reply = column["input_length"], column["output_length"]
    if not size or size < 1 or (prompt < 1).any() or (reply < 0).any() or max(prompt.max(), reply.max()) >= MAX_TOKENS:
        return None
    fits = (listed[:, 0] == -(-prompt // size)) | (listed[:, 0] == prompt // size)
    if not fits.all() or (listed[:, 1] > -(-(prompt + reply) // size) - prompt // size).any():
        return None
    times, chat, parent = column["timestamp"], column["chat_id"], column["parent_chat_id"]
    chats = None
    if (chat != ABSENT).all():
        chats = list(zip(chat.tolist(), np.where(parent == ABSENT, -1, parent).tolist(), strict=True))
    return {
        "prompt_tokens": prompt,
        "reply_tokens": reply,
        "ids": ids,
        "listed": listed[:, 0],
        "reply_ids": reply_ids,
        "reply_listed": listed[:, 1],
        "timestamps_ms": np.where(times == ABSENT, 0, times).astype(np.float64),
        "block_size": size,
        "chats": chats,
    }


def _size(row: dict[str, Any], where: str, default_size: int | None, known_size: int | None) -> int:
    if row.get("block_size") is None:
        size = known_size or default_size
        if size is None:
            raise DatasetError(f"{where}: field block_size is missing: set dataset.block_size to the trace's")
        return size
    size = _number(row, "block_size", where, least=1)
    if known_size is not None and size != known_size:
        raise DatasetError(f"{where}: block_size is {size}, before it was {known_size}: one trace has one block size")
    return size


def _number(row: dict[str, Any], field: str, where: str, least: int = 0) -> int:
    if field not in row:
        raise DatasetError(f"{where}: field {field} is missing: every row of a block trace needs it")
    value = row[field]
    if type(value) is not int or not least <= value < MAX_TOKENS:
        shown = value if type(value) in (int, float) else kind(value)
        raise DatasetError(f"{where}: field {field} is {shown}, not a whole number from {least}: correct the row")
    return value


def _ids(row: dict[str, Any], field: str, where: str) -> list[Any]:
    if field not in row:
        raise DatasetError(f"{where}: field {field} is missing: every row of a block trace needs it")
    values = row[field]
    if not isinstance(values, list):
        raise DatasetError(f"{where}: field {field} is {kind(values)}, not an array of block ids: correct the row")
    for index, value in enumerate(values):
        if not (type(value) is int and 0 <= value < 1 << 64) and not (isinstance(value, str) and value):
            shown = value if type(value) in (int, float) else kind(value)
            raise DatasetError(
                f"{where}: field {field}[{index}] is {shown}, not a block id (a number of 64 bits from 0, or text): "
                "correct the row"
            )
    return values


def _time(row: dict[str, Any], where: str) -> float:
    value = row.get("timestamp", 0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e300:
        raise DatasetError(f"{where}: field timestamp is {kind(value)}, not a number of milliseconds: correct the row")
    return float(value)
