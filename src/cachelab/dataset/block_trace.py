"""Block traces: production requests as lists of block ids, without text (Mooncake, Qwen-Bailian, AIPerf)."""

import math
from collections.abc import Iterator
from dataclasses import field
from typing import Annotated

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from cachelab.dataset.base import LoadedDataset
from cachelab.dataset.block_columns import MAX_BYTES, BlockColumns, read_block_columns
from cachelab.dataset.block_fields import Unit, check_ignored
from cachelab.dataset.block_reader import OnBadRow
from cachelab.dataset.block_row import MAX_BLOCK_SIZE
from cachelab.dataset.block_sessions import SessionRows, Sessions
from cachelab.dataset.block_turn import block_turn
from cachelab.dataset.source_bytes import MaxBytes, path_name
from cachelab.errors import DatasetError
from cachelab.strict_config import STRICT, FilePath
from cachelab.tokenized_conversation import TokenizedConversation, TokenizedTurn


@dataclass(frozen=True, config=STRICT)
class BlockTrace:
    """Recorded requests as lists of block ids, in JSON Lines, plain or gzip.

    A row's own `block_size` takes precedence over the option. Rows with a `parent_chat_id` continue that chat. Rows
    with the same `session_id` are one conversation. Any other row is a conversation of one turn. Blocks become tokens
    only where an engine reads them: equal ids become equal tokens, different ids different tokens. A reply whose blocks
    the trace does not list gets tokens that occur nowhere else.

    `session_rows` sets what a session's later rows list. new: only the new blocks of that turn, as AIPerf writes them;
    the prompt is all earlier prompts and replies of the session, then these blocks. whole: the whole prompt.
    """

    path: FilePath
    block_size: Annotated[int, Field(gt=0, le=MAX_BLOCK_SIZE)] | None = None
    on_bad_row: OnBadRow = "error"
    ignore_fields: list[Annotated[str, Field(min_length=1)]] = field(default_factory=list)
    timestamp_unit: Unit | None = None
    session_rows: SessionRows = "new"
    max_bytes: MaxBytes = MAX_BYTES

    def __post_init__(self) -> None:
        check_ignored(self.ignore_fields)

    def load(self) -> LoadedDataset:
        """Read the file. Raises DatasetError that names the file, the line and the field."""
        columns = read_block_columns(
            self.path,
            self.block_size,
            self.on_bad_row,
            ignore_fields=self.ignore_fields,
            timestamp_unit=self.timestamp_unit,
            max_bytes=self.max_bytes,
        )
        conversations, counts = conversations_of(columns, self.session_rows)
        counts = {"conversations": len(conversations), "turns": columns.counts["rows"], **counts, **columns.counts}
        counts.pop("rows")
        return LoadedDataset("block_trace", self.path, columns.digest, conversations, counts, columns.notes)


def conversations_of(
    columns: BlockColumns, session_rows: SessionRows = "new"
) -> tuple[list[TokenizedConversation], dict[str, int]]:
    """The conversations in the order of their first rows, and counts.

    Raises DatasetError that names the line of a row whose parent chat starts later, or of a row that cannot be the next
    one of its session.
    """
    turns: list[list[TokenizedTurn]] = []
    chat_of: dict[object, tuple[int, int]] = {}  # chat id -> index of its conversation, number of its turns then
    first_row = {chat: row for row, (chat, _) in reversed(list(enumerate(columns.chats or ())))}
    missing_parents = branches = duplicate_chats = 0
    sessions = Sessions(columns, session_rows)
    for index, turn in enumerate(_turns(columns)):
        if (step := columns.steps[index] if columns.steps else None) is not None:
            continues = sessions.place_of(step[0], len(turns))
            turns.extend([[]] if continues == len(turns) else [])
            turns[continues].append(sessions.turn(index, step, turn))
            continue
        chat, parent = columns.chats[index] if columns.chats else (None, None)
        found = chat_of.get(parent) if parent is not None else None
        if parent is not None and found is None:
            if parent in first_row:
                raise _parent_comes_later(columns, index, first_row[parent])
            missing_parents += 1
        if found is not None and len(turns[found[0]]) > found[1]:
            branches += 1  # another row has continued that chat: this row starts a new conversation
            found = None
        if found is None:
            turns.append([])
        place = found[0] if found is not None else len(turns) - 1
        turns[place].append(turn)
        if chat is not None:
            duplicate_chats += chat in chat_of
            chat_of[chat] = (place, len(turns[place]))
    width = max(5, len(str(len(turns))))
    conversations = [
        TokenizedConversation(f"conversation_{place + 1:0{width}d}", tuple(of)) for place, of in enumerate(turns)
    ]
    counts = {"missing_parents": missing_parents, "branches": branches, "duplicate_chats": duplicate_chats}
    counts["sessions"] = sessions.number
    return conversations, counts


def _parent_comes_later(columns: BlockColumns, row: int, parent_row: int) -> DatasetError:
    line, parent_line = int(columns.lines[row]), int(columns.lines[parent_row])
    which = "the row's own chat" if row == parent_row else f"the chat of a later row (line {parent_line})"
    return DatasetError(
        f"{path_name(columns.source)}: line {line}: field parent_chat_id names {which}: "
        "sort the rows so that each comes after the row that it continues"
    )


def _turns(columns: BlockColumns) -> Iterator[TokenizedTurn]:
    size = columns.block_size
    offsets, reply_offsets = columns.offsets.tolist(), columns.reply_offsets.tolist()
    known_times = columns.timestamps_ms[~np.isnan(columns.timestamps_ms)]
    seconds = (columns.timestamps_ms - (known_times.min() if len(known_times) else 0)) / 1000
    times_s = [None if math.isnan(time) else time for time in seconds.tolist()]
    rows = zip(columns.prompt_tokens.tolist(), columns.reply_tokens.tolist(), times_s, strict=True)
    for index, (prompt, reply, time_s) in enumerate(rows):
        listed = columns.ids[offsets[index] : offsets[index + 1]]
        known = columns.reply_ids[reply_offsets[index] : reply_offsets[index + 1]]
        yield block_turn(listed, prompt, reply, size, columns.num_ids + index, known, time_s)
