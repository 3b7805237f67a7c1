"""A chunk of a block trace in columns: made from its bytes if all its rows are plain, else from checked rows."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cachelab.dataset.block_fields import Marks, marks_of
from cachelab.dataset.block_row import MAX_BLOCK_SIZE, MAX_TIME, MAX_TOKENS, BlockRow, Chat, Step
from cachelab.dataset.id_names import IdNames
from cachelab.prefix_cache.accesses import Int64s

Ids = npt.NDArray[np.int32] | npt.NDArray[np.int64]

_INT32 = np.iinfo(np.int32)
_INT64_MAX = (1 << 63) - 1


@dataclass(slots=True, eq=False)
class BlockChunk:
    """The rows of a chunk, in the file's order.

    `prompt_tokens`, `reply_tokens`, `listed`, `reply_listed` and `lines`: int64, shape (num_rows,). `timestamps`:
    float64, shape (num_rows,); NaN for a row without a time. Row i lists `listed[i]` of `ids` and
    `reply_listed[i]` of `reply_ids`, both int32 if the ids fit, else int64. `timed`: whether the rows have times; None
    if no row decides it. `chats` and `steps` are None if no row has one. `marks` maps each mark to the first line that
    has it.
    """

    block_size: int
    timed: bool | None
    prompt_tokens: Int64s
    reply_tokens: Int64s
    ids: Ids
    listed: Int64s
    reply_ids: Ids
    reply_listed: Int64s
    timestamps: npt.NDArray[np.float64]
    chats: list[Chat] | None
    steps: list[Step | None] | None
    marks: dict[Marks, int]
    lines: Int64s

    @classmethod
    def of_rows(cls, rows: list[BlockRow], names: IdNames, roots: dict[Any, Any] | None = None) -> "BlockChunk":
        """The chunk of these checked rows.

        An id that is not a number of 63 bits gets a negative number. `names` holds these numbers for the whole file, so
        that equal ids get equal numbers; the name of a local id also contains its session or chat. `roots` maps each
        chat of the earlier rows to the first chat of its conversation.
        """
        roots = {} if roots is None else roots

        def numbered(ids: list[list[Any]]) -> Int64s:
            flat: list[int] = []
            for row, one in zip(rows, ids, strict=True):
                if row.local:
                    of = _scope(row, roots)
                    flat += [names.of((of, id)) for id in one]
                else:
                    flat += [id if type(id) is int and id <= _INT64_MAX else names.of(id) for id in one]
            return np.asarray(flat, np.int64)

        deciding = [row for row in rows if row.timestamp is not None or not row.clocked]
        return cls(
            block_size=rows[0].block_size,
            timed=deciding[0].timestamp is not None if deciding else None,
            prompt_tokens=np.asarray([row.prompt_tokens for row in rows], np.int64),
            reply_tokens=np.asarray([row.reply_tokens for row in rows], np.int64),
            ids=numbered([row.ids for row in rows]),
            listed=np.asarray([len(row.ids) for row in rows], np.int64),
            reply_ids=numbered([row.reply_ids for row in rows]),
            reply_listed=np.asarray([len(row.reply_ids) for row in rows], np.int64),
            timestamps=np.asarray([math.nan if row.timestamp is None else row.timestamp for row in rows], np.float64),
            chats=[row.chat for row in rows] if any(row.chat != (None, None) for row in rows) else None,
            steps=[row.step for row in rows] if any(row.step for row in rows) else None,
            marks={row.marks: row.line for row in reversed(rows)},
            lines=np.asarray([row.line for row in rows], np.int64),
        )

    @classmethod
    def of_plain(
        cls,
        data: bytes,
        default_size: int | None,
        known_size: int | None,
        timed: bool | None = None,
        first_line: int = 1,
        names: IdNames | None = None,
    ) -> "BlockChunk | None":
        """The chunk of whole lines if each line is a valid plain row; None otherwise.

        `timed`: whether the earlier rows have times. `first_line`: the number of the first line. `names`: the numbers
        of the file's ids that are text, as in `of_rows`.
        """
        from cachelab.dataset.row_lexer import ABSENT, KEYS, LINE, NUM_NUMBERS, SEEN, key_table, read_rows

        names = names or IdNames()
        names.make_room(len(data))
        lines_of = data if data.endswith(b"\n") else data + b"\n"
        known = (names.texts, names.ends, names.slots, names.number)
        found = read_rows(np.frombuffer(lines_of, np.uint8), *key_table(), *known)
        numbers, ids, listed, reply_ids, names.slots, names.number = found
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
        return cls(
            block_size=size,
            timed=bool(has_time[0]),
            prompt_tokens=prompt,
            reply_tokens=reply,
            ids=_small(ids),
            listed=listed[:, 0].copy(),
            reply_ids=_small(reply_ids),
            reply_listed=listed[:, 1].copy(),
            timestamps=np.where(has_time, times, math.nan).astype(np.float64),
            chats=chats,
            steps=None,
            marks=marks,
            lines=lines,
        )


def _scope(row: BlockRow, roots: dict[Any, Any]) -> tuple[str, Any]:
    """The session or the first chat of the conversation in which a row's local ids are valid."""
    if row.step is not None:
        return "session", row.step[0]
    chat, parent = row.chat
    root = roots.get(parent, parent) if parent is not None else chat
    if chat is not None:
        roots.setdefault(chat, root)
    return "chat", root


def _small(ids: Int64s) -> Ids:
    """A copy of the ids, as int32 if they fit."""
    fits = not len(ids) or (int(ids.min()) >= _INT32.min and int(ids.max()) <= _INT32.max)
    return ids.astype(np.int32) if fits else ids.copy()
