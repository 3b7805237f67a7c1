"""A block trace: what a cache sees of production requests, without their text (Mooncake, Qwen-Bailian)."""

from collections.abc import Iterator
from typing import Annotated

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from cachelab.conversation import TokenizedConversation, TokenizedTurn
from cachelab.dataset.base import LoadedDataset
from cachelab.dataset.block_columns import BlockColumns, OnBadRow, read_block_columns
from cachelab.part import PART
from cachelab.tokens import BlockTokens

_NO_PARENT = (None, -1, "-1", "")


@dataclass(frozen=True, config=PART)
class BlockTrace:
    """Recorded requests as lists of block ids, JSON Lines or JSONL.gz; a row's own `block_size` wins over the option's.

    Rows that name a `parent_chat_id` continue that chat; any other row is a conversation of one turn. Blocks become
    tokens only where an engine asks for them: equal ids make equal tokens, different ones different tokens, and a reply
    whose blocks the trace does not list has tokens that occur nowhere else.
    """

    path: Annotated[str, Field(min_length=1)]
    block_size: Annotated[int, Field(gt=0)] | None = None
    on_bad_row: OnBadRow = "error"

    def load(self) -> LoadedDataset:
        """Read the file. Raises DatasetError naming the file, the line and the field."""
        columns = read_block_columns(self.path, self.block_size, self.on_bad_row)
        conversations, counts = conversations_of(columns)
        counts = {"conversations": len(conversations), "turns": columns.counts["rows"], **counts, **columns.counts}
        counts.pop("rows")
        return LoadedDataset("block_trace", self.path, columns.digest, conversations, counts)


def conversations_of(columns: BlockColumns) -> tuple[list[TokenizedConversation], dict[str, int]]:
    """Conversations in order of first appearance, and what was counted."""
    turns: list[list[TokenizedTurn]] = []
    chat_of: dict[object, tuple[int, int]] = {}  # chat id -> its conversation, and how many turns that had then
    missing_parents = branches = 0
    for index, turn in enumerate(_turns(columns)):
        chat, parent = columns.chats[index] if columns.chats else (None, None)
        found = chat_of.get(parent) if parent not in _NO_PARENT else None
        missing_parents += parent not in _NO_PARENT and found is None
        if found is not None and len(turns[found[0]]) > found[1]:
            branches += 1  # another row has continued that chat: this one starts a conversation of its own
            found = None
        if found is None:
            turns.append([])
        place = found[0] if found is not None else len(turns) - 1
        turns[place].append(turn)
        if chat is not None:
            chat_of[chat] = (place, len(turns[place]))
    width = max(5, len(str(len(turns))))
    conversations = [
        TokenizedConversation(f"conversation_{place + 1:0{width}d}", tuple(of)) for place, of in enumerate(turns)
    ]
    return conversations, {"missing_parents": missing_parents, "branches": branches}


def _turns(columns: BlockColumns) -> Iterator[TokenizedTurn]:
    size = columns.block_size
    offsets, reply_offsets = columns.offsets.tolist(), columns.reply_offsets.tolist()
    times_s = ((columns.timestamps_ms - columns.timestamps_ms.min()) / 1000).tolist()
    rows = zip(columns.prompt_tokens.tolist(), columns.reply_tokens.tolist(), times_s, strict=True)
    for index, (prompt, reply, time_s) in enumerate(rows):
        listed = columns.ids[offsets[index] : offsets[index + 1]]
        known = columns.reply_ids[reply_offsets[index] : reply_offsets[index + 1]]
        own = np.asarray([columns.num_ids + index], np.int32)  # a number that no other row has
        full, partial = divmod(prompt, size)
        blocks = listed
        if partial and len(known):
            blocks = np.concatenate([listed[:full], known[:1]])  # the reply completes the prompt's last block
        elif len(listed) == full and partial:
            blocks = np.concatenate([listed, own])
        yield TokenizedTurn(
            kept_tokens=0,
            new_ids=BlockTokens(blocks, size, prompt, listed=listed),
            reply_ids=BlockTokens(np.concatenate([known, own]), size, reply, skip=partial),
            timestamp_s=time_s,
        )
