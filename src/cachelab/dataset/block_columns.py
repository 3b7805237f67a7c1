"""A block trace in columns. Memory is bounded by the numbers in the file, not by its text."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cachelab.dataset.block_chunk import BlockChunk
from cachelab.dataset.block_fields import Marks, Unit, unit_of
from cachelab.dataset.block_reader import BlockReader, OnBadRow
from cachelab.dataset.block_row import Chat, Step
from cachelab.dataset.source_bytes import path_name
from cachelab.errors import DatasetError
from cachelab.mapped_array import give_back, mapped_array
from cachelab.prefix_cache.accesses import BlockAccesses, Int32s, Int64s

FORMAT_VERSION = "block-trace-3"
"""Version of the rules that read the format. It is part of the digest, which changes with the rules."""

MAX_BYTES = 16 << 30
"""Default of `dataset.max_bytes`: the most bytes of text, unpacked."""

_NONE: Int32s = np.empty(0, np.int32)


@dataclass(frozen=True, slots=True, eq=False)
class BlockColumns:
    """The rows of a block trace, in the file's order.

    `ids` and `reply_ids`: int32, numbers from 0 to `num_ids` - 1. `offsets` and `reply_offsets`: int64, shape
    (num_rows + 1,). Row i lists `ids[offsets[i]:offsets[i + 1]]` for its prompt, and, if the trace has the blocks of
    replies, `reply_ids[reply_offsets[i]:reply_offsets[i + 1]]`. `prompt_tokens`, `reply_tokens` and `lines` (line
    numbers): int64, shape (num_rows,). `timestamps_ms`: float64, shape (num_rows,), NaN for a row without a time.
    `chats`: (chat id, parent's id) of each row, None for an id that is missing; None if no row has any.
    `steps`: the session and delay of each row, None for a row without a session; None if no row has one. `notes`: lines
    for the user about how the source was read.
    """

    source: str
    digest: str
    block_size: int
    num_ids: int
    ids: Int32s
    offsets: Int64s
    reply_ids: Int32s
    reply_offsets: Int64s
    prompt_tokens: Int64s
    reply_tokens: Int64s
    timestamps_ms: npt.NDArray[np.float64]
    chats: list[Chat] | None
    steps: list[Step | None] | None
    lines: Int64s
    counts: dict[str, int]
    notes: tuple[str, ...]

    def accesses(self) -> BlockAccesses:
        """The block accesses of the rows by the rules of block traces, in the file's order."""
        from cachelab.prefix_cache.kernels.interning import intern, name_their_parents

        if name_their_parents(self.ids, self.offsets, self.num_ids):
            return BlockAccesses.listed(self.ids, self.offsets, self.num_ids, self.prompt_tokens, self.block_size)
        ids, offsets, parents, _ = intern(self.ids, self.offsets[:-1], np.diff(self.offsets), 1)
        return BlockAccesses.listed(ids, offsets, len(parents), self.prompt_tokens, self.block_size)


def read_block_columns(
    path: str,
    block_size: int | None = None,
    on_bad_row: OnBadRow = "error",
    *,
    ignore_fields: Collection[str] = (),
    timestamp_unit: Unit | None = None,
    max_bytes: int = MAX_BYTES,
) -> BlockColumns:
    """Read JSON Lines, plain or gzip.

    `block_size` is used for rows that do not state their own. A `timestamp_unit` of None is recognised from the fields
    of the rows. Raises DatasetError that names the file and the line if the file cannot be read, has unknown fields, or
    (on_bad_row: error) has a bad row.
    """
    name = path_name(path)
    reader = BlockReader(name, on_bad_row, block_size, frozenset(ignore_fields))
    digest = hashlib.sha256(FORMAT_VERSION.encode() + b"\0")
    reader.read(path, digest, max_bytes)
    chunks = reader.chunks
    if not chunks:
        found = f"none of its {reader.bad_rows} rows is usable" if reader.bad_rows else "the file is empty"
        raise DatasetError(f"{name}: {found}: get it again, or choose another file")
    ids, num_ids, num_listed, distinct = _numbered(chunks)
    counts = {
        "rows": sum(len(chunk.prompt_tokens) for chunk in chunks),
        "bad_rows": reader.bad_rows,
        "listed_blocks": num_listed,
        "distinct_blocks": distinct,
        **reader.ignored.counts,
    }
    timestamps_ms, time_notes = _milliseconds(chunks, timestamp_unit, name)
    return BlockColumns(
        source=path,
        digest=digest.hexdigest(),
        block_size=int(reader.block_size or 0),
        num_ids=num_ids,
        ids=ids[:num_listed],
        offsets=_offsets([chunk.listed for chunk in chunks]),
        reply_ids=ids[num_listed:],
        reply_offsets=_offsets([chunk.reply_listed for chunk in chunks]),
        prompt_tokens=np.concatenate([chunk.prompt_tokens for chunk in chunks]),
        reply_tokens=np.concatenate([chunk.reply_tokens for chunk in chunks]),
        timestamps_ms=timestamps_ms,
        chats=_chats(chunks),
        steps=_steps(chunks),
        lines=np.concatenate([chunk.lines for chunk in chunks]),
        counts=counts,
        notes=(*time_notes, *reader.ignored.notes),
    )


def _numbered(chunks: list[BlockChunk]) -> tuple[Int32s, int, int, int]:
    """Numbers from 0 for the ids of all prompts and then of all replies, which are removed from the chunks.

    Returns (numbers, end of the numbers, how many of them belong to prompts, how many of them are different).
    """
    raw = [*(chunk.ids for chunk in chunks), *(chunk.reply_ids for chunk in chunks)]
    num_listed = sum(map(len, raw[: len(chunks)]))
    for chunk in chunks:
        chunk.ids = chunk.reply_ids = _NONE
    total = sum(map(len, raw))
    lowest = min((int(ids.min()) for ids in raw if len(ids)), default=0)
    highest = max((int(ids.max()) for ids in raw if len(ids)), default=-1)
    named = highest < 0 < total  # the file's ids are text: IdNames counts down from -1
    if named:
        lowest, highest = 0, -1 - lowest
    if lowest >= 0 and highest < 2 * total + 1024:
        numbered = mapped_array(total)
        end = total
        while raw:  # each chunk's ids are freed as soon as they are copied
            ids = raw.pop()
            numbered[end - len(ids) : end] = ~ids if named else ids
            end -= len(ids)
        used = np.zeros(highest + 1, np.bool_)  # the numbers can have gaps
        used[numbered] = True
        give_back(numbered)
        return numbered, highest + 1, num_listed, int(np.count_nonzero(used))
    import pandas

    numbers, distinct = pandas.factorize(np.concatenate(raw, dtype=np.int64))
    return numbers.astype(np.int32), len(distinct), num_listed, len(distinct)


def _milliseconds(
    chunks: list[BlockChunk], unit: Unit | None, name: str
) -> tuple[npt.NDArray[np.float64], tuple[str, ...]]:
    """The rows' times in milliseconds, and a note on how they were read. Times that are all equal need no unit."""
    times = np.concatenate([chunk.timestamps for chunk in chunks])
    known = times[~np.isnan(times)]
    if unit is None and (not len(known) or known.min() == known.max()):
        return times, ()
    marks: dict[Marks, int] = {}
    for chunk in chunks:
        for mark, line in chunk.marks.items():
            marks.setdefault(mark, line)
    found, why = unit_of(marks, unit, name)
    return times * (1000 if found == "s" else 1), (f"timestamps of the dataset are read in {found} ({why})",)


def _chats(chunks: list[BlockChunk]) -> list[Chat] | None:
    """The chats of all rows, (None, None) for the rows of a chunk without chats; None if no row has a chat."""
    if all(chunk.chats is None for chunk in chunks):
        return None
    nameless: Chat = (None, None)
    return [chat for chunk in chunks for chat in chunk.chats or [nameless] * len(chunk.prompt_tokens)]


def _steps(chunks: list[BlockChunk]) -> list[Step | None] | None:
    """The sessions and delays of all rows; None if no row has any."""
    if all(chunk.steps is None for chunk in chunks):
        return None
    return [step for chunk in chunks for step in chunk.steps or [None] * len(chunk.prompt_tokens)]


def _offsets(lengths: list[Int64s]) -> Int64s:
    """Where the list of each row starts, and the end of the last one."""
    ends = np.cumsum(np.concatenate(lengths), dtype=np.int64)
    return np.concatenate([np.zeros(1, np.int64), ends])
