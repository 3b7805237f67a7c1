"""A block trace in columns: read chunk by chunk, so that memory is bounded by the numbers in it, never by its text."""

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from cachelab.dataset.block_fields import KNOWN, FormatError, Marks, Unit, unit_of, without_ignored
from cachelab.dataset.block_row import BlockRow, Chat, Step, columns_of, row_object
from cachelab.dataset.ignored_fields import IgnoredFields
from cachelab.dataset.json_lines import numbered_lines
from cachelab.dataset.source_bytes import opened, path_name, unpacked
from cachelab.errors import DatasetError
from cachelab.prefix_cache.accesses import BlockAccesses, Int32s, Int64s

FORMAT_VERSION = "block-trace-2"
"""Version of the rules that read the format: a digest over it changes when they do."""

MAX_BYTES = 16 << 30
"""Default of `dataset.max_bytes`: the text is read in pieces, memory is bounded by the numbers in it."""

MAX_LINE_BYTES = 64 << 20
"""The longest line that is read (eight million block ids of eight digits), and the most blank lines in a row."""

OnBadRow = Literal["error", "skip"]


@dataclass(frozen=True, slots=True, eq=False)
class BlockColumns:
    """The rows of a block trace, in the file's order.

    Row i lists `ids[offsets[i]:offsets[i + 1]]`, numbered from 0 below `num_ids`, and `reply_ids` likewise where the
    trace knows the blocks of replies. Lengths are tokens; `chats` holds (id, parent's id), None where a row names none,
    and is None if no row names any. So do `steps` for the rows of sessions. A row with a delay and without a time has
    the time NaN. `lines` are where the rows stand; `notes` are lines for a person about the source.
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
        """What a cache sees of the rows under the rules of traces, in the file's order."""
        from cachelab.prefix_cache.kernels.interning import intern, name_their_parents

        if name_their_parents(self.ids, self.offsets, self.num_ids):
            return BlockAccesses.listed(self.ids, self.offsets, self.num_ids, self.prompt_tokens, self.block_size)
        ids, offsets, parents, _ = intern(self.ids, self.offsets[:-1], np.diff(self.offsets), 1)
        return BlockAccesses.listed(ids, offsets, len(parents), self.prompt_tokens, self.block_size)


@dataclass(slots=True)
class _Reading:
    """What has been read so far."""

    name: str
    on_bad_row: OnBadRow
    default_size: int | None
    ignore_fields: frozenset[str]
    ignored: IgnoredFields = field(default_factory=IgnoredFields)
    block_size: int | None = None
    timed: bool | None = None
    names: dict[Any, int] = field(default_factory=dict)
    roots: dict[Any, Any] = field(default_factory=dict)
    parts: list[dict[str, Any]] = field(default_factory=list)
    bad_rows: int = 0
    line: int = 1
    """The number of the first line that has not been read."""
    blank_bytes: int = 0

    def take(self, chunk: bytes) -> None:
        """Whole lines. What is as it should be goes in whole; anything else line by line, to name the line."""
        if chunk.isspace():
            self.blank_bytes += len(chunk)
            if self.blank_bytes > MAX_LINE_BYTES:
                raise DatasetError(
                    f"{self.name}: line {self.line}: the {MAX_LINE_BYTES >> 20} MB before it are blank: "
                    "get the file again, or choose another file"
                )
        else:
            self.blank_bytes = 0
            columns = None
            if self.ignore_fields.isdisjoint(KNOWN):
                columns = columns_of(chunk, self.default_size, self.block_size, self.timed, self.line)
            if columns is None:
                columns = self._row_by_row(chunk)
            if columns is not None:
                self.block_size = columns["block_size"]
                self.timed = self.timed if columns["timed"] is None else columns["timed"]
                self.parts.append(columns)
        self.line += chunk.count(b"\n")

    def _row_by_row(self, chunk: bytes) -> dict[str, Any] | None:
        rows: list[BlockRow] = []
        for number, line in numbered_lines(chunk, self.line):
            where = f"{self.name}: line {number}"
            try:
                document = row_object(line, self.name, number)
                document, left_out = without_ignored(document, self.ignore_fields, where)
                row = BlockRow.of(document, self.name, number, self.default_size, self.block_size)
                self._check_time(row, where)
            except FormatError:
                raise
            except DatasetError:
                if self.on_bad_row == "error":
                    raise
                self.bad_rows += 1
                continue
            self.block_size = row.block_size
            if row.timestamp is not None or not row.clocked:
                self.timed = row.timestamp is not None
            self.ignored.add(left_out)
            rows.append(row)
        return BlockRow.columns(rows, self.names, self.roots) if rows else None

    def _check_time(self, row: BlockRow, where: str) -> None:
        """A row without a time among others with one would be put at the beginning of all."""
        if row.timestamp is None and row.clocked:
            return
        if self.timed is not None and self.timed != (row.timestamp is not None):
            found = "is missing, the rows before have one" if self.timed else "is there, the rows before have none"
            raise DatasetError(
                f"{where}: field timestamp {found}: give every row one, or set dataset.ignore_fields=[timestamp]"
            )


def read_block_columns(
    path: str,
    block_size: int | None = None,
    on_bad_row: OnBadRow = "error",
    *,
    ignore_fields: Collection[str] = (),
    timestamp_unit: Unit | None = None,
    max_bytes: int = MAX_BYTES,
) -> BlockColumns:
    """Read JSON Lines, plain or gzip; `block_size` holds for rows that bring none, a unit of None is recognised.

    Raises DatasetError naming the file and the line, if the file cannot be read, has fields that are not known, or
    (on_bad_row: error) a row is wrong.
    """
    name = path_name(path)
    reading = _Reading(name, on_bad_row, block_size, frozenset(ignore_fields))
    digest = hashlib.sha256(FORMAT_VERSION.encode() + b"\0")
    for chunk in _whole_lines(path, reading, digest, max_bytes):
        reading.take(chunk)
    parts = reading.parts
    if not parts:
        found = f"none of its {reading.bad_rows} rows is usable" if reading.bad_rows else "the file is empty"
        raise DatasetError(f"{name}: {found}: get it again, or choose another file")
    ids, num_ids, num_listed, distinct = _numbered(parts)
    counts = {
        "rows": sum(len(part["prompt_tokens"]) for part in parts),
        "bad_rows": reading.bad_rows,
        "listed_blocks": num_listed,
        "distinct_blocks": distinct,
        **reading.ignored.counts,
    }
    timestamps_ms, time_notes = _milliseconds(parts, timestamp_unit, name)
    return BlockColumns(
        source=path,
        digest=digest.hexdigest(),
        block_size=int(reading.block_size or 0),
        num_ids=num_ids,
        ids=ids[:num_listed],
        offsets=_offsets(parts, "listed"),
        reply_ids=ids[num_listed:],
        reply_offsets=_offsets(parts, "reply_listed"),
        prompt_tokens=np.concatenate([part["prompt_tokens"] for part in parts]),
        reply_tokens=np.concatenate([part["reply_tokens"] for part in parts]),
        timestamps_ms=timestamps_ms,
        chats=_chats(parts),
        steps=_steps(parts),
        lines=np.concatenate([part["lines"] for part in parts]),
        counts=counts,
        notes=(*time_notes, *reading.ignored.notes),
    )


def _numbered(parts: list[dict[str, Any]]) -> tuple[Int32s, int, int, int]:
    """The ids of prompts, then those of replies, numbered from 0.

    With it: the end of the numbers, how many of the ids are of prompts, and how many of all are different.
    """
    raw: list[Int64s] = [part.pop(name) for name in ("ids", "reply_ids") for part in parts]
    num_listed = sum(map(len, raw[: len(parts)]))
    lowest = min((int(ids.min()) for ids in raw if len(ids)), default=0)
    highest = max((int(ids.max()) for ids in raw if len(ids)), default=-1)
    if lowest >= 0 and highest < 2 * sum(map(len, raw)) + 1024:
        numbered = np.empty(sum(map(len, raw)), np.int32)
        end = len(numbered)
        while raw:  # each piece is let go as soon as it is in
            ids = raw.pop()
            numbered[end - len(ids) : end] = ids
            end -= len(ids)
        used = np.zeros(highest + 1, np.bool_)  # the file's own numbers are kept, and they may have gaps
        used[numbered] = True
        return numbered, highest + 1, num_listed, int(np.count_nonzero(used))
    import pandas

    numbers, distinct = pandas.factorize(np.concatenate(raw))
    return numbers.astype(np.int32), len(distinct), num_listed, len(distinct)


def _milliseconds(
    parts: list[dict[str, Any]], unit: Unit | None, name: str
) -> tuple[npt.NDArray[np.float64], tuple[str, ...]]:
    """The rows' times in milliseconds, and a note on how they were read. Times that are all equal need no unit."""
    times = np.concatenate([part["timestamps"] for part in parts])
    known = times[~np.isnan(times)]
    if unit is None and (not len(known) or known.min() == known.max()):
        return times, ()
    marks: dict[Marks, int] = {}
    for part in parts:
        for mark, line in part["marks"].items():
            marks.setdefault(mark, line)
    found, why = unit_of(marks, unit, name)
    return times * (1000 if found == "s" else 1), (f"timestamps of the dataset are read in {found} ({why})",)


def _chats(parts: list[dict[str, Any]]) -> list[Chat] | None:
    """The chats of all rows, (None, None) for rows of a piece that names none; None if no row names any."""
    if all(part["chats"] is None for part in parts):
        return None
    nameless: Chat = (None, None)
    return [chat for part in parts for chat in part["chats"] or [nameless] * len(part["prompt_tokens"])]


def _steps(parts: list[dict[str, Any]]) -> list[Step | None] | None:
    """The sessions and delays of all rows; None if no row has any."""
    if all(part["steps"] is None for part in parts):
        return None
    return [step for part in parts for step in part["steps"] or [None] * len(part["prompt_tokens"])]


def _offsets(parts: list[dict[str, Any]], name: str) -> Int64s:
    lengths = np.concatenate([part[name] for part in parts])
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])


def _whole_lines(path: str, reading: _Reading, digest: Any, max_bytes: int) -> Iterator[bytes]:
    """The file in pieces that end with a line, its bytes (unpacked) fed to the digest."""
    rest = b""
    with opened(path) as raw:
        for block in unpacked(raw, reading.name, max_bytes):
            digest.update(block)
            end = block.rfind(b"\n") + 1
            if not end:
                rest += block
                if len(rest) > MAX_LINE_BYTES:
                    longest = f"{MAX_LINE_BYTES >> 20} MB"
                    raise DatasetError(
                        f"{reading.name}: line {reading.line} is longer than {longest}: write one request per line, "
                        "as the block trace format has it"
                    )
                continue
            yield rest + block[:end] if rest or end < len(block) else block
            rest = block[end:]
    if rest.strip():
        yield rest
