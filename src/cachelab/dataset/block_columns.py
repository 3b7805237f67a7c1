"""A block trace in columns: read chunk by chunk, so that memory is bounded by the numbers in it, never by its text."""

import gzip
import hashlib
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import numpy.typing as npt

from cachelab.dataset.block_row import BlockRow, columns_of
from cachelab.errors import DatasetError
from cachelab.replay.paths import BlockPaths, Int32s, Int64s

RULES = "block-trace-1"
"""Version of the rules that read the format: a digest over it changes when they do."""

CHUNK_BYTES = 8 << 20
MAX_LINE_BYTES = 64 << 20
"""The longest line that is read: eight million block ids of eight digits."""

OnBadRow = Literal["error", "skip"]


@dataclass(frozen=True, slots=True, eq=False)
class BlockColumns:
    """The rows of a block trace, in the file's order.

    Row i lists `ids[offsets[i]:offsets[i + 1]]`, numbered from 0 below `num_ids`, and `reply_ids` likewise where the
    trace knows the blocks of replies. Lengths are tokens; `chats` holds (id, parent's id or None) where rows name them.
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
    chats: list[tuple[Any, Any]] | None
    counts: dict[str, int]

    def paths(self) -> BlockPaths:
        """What a cache sees of the rows under the rules of traces, in the file's order."""
        from cachelab.replay.kernels.interning import intern, name_their_parents

        if name_their_parents(self.ids, self.offsets, self.num_ids):
            return BlockPaths.listed(self.ids, self.offsets, self.num_ids, self.prompt_tokens, self.block_size)
        ids, offsets, parents, _ = intern(self.ids, self.offsets[:-1], np.diff(self.offsets), 1)
        return BlockPaths.listed(ids, offsets, len(parents), self.prompt_tokens, self.block_size)


@dataclass(slots=True)
class _Reading:
    """What has been read so far."""

    name: str
    on_bad_row: OnBadRow
    default_size: int | None
    block_size: int | None = None
    names: dict[Any, int] = field(default_factory=dict)
    parts: list[dict[str, Any]] = field(default_factory=list)
    bad_rows: int = 0
    line: int = 0

    def take(self, chunk: bytes) -> None:
        """Whole lines. What is as it should be goes in whole; anything else line by line, to name the line."""
        number = chunk.count(b"\n")
        columns = columns_of(chunk, self.default_size, self.block_size)
        if columns is None:
            columns = self._row_by_row(chunk)
        self.line += number
        if columns is not None:
            self.block_size = columns["block_size"]
            self.parts.append(columns)

    def _row_by_row(self, chunk: bytes) -> dict[str, Any] | None:
        rows: list[BlockRow] = []
        for number, line in enumerate(chunk.split(b"\n"), start=self.line + 1):
            if not line.strip():
                continue
            try:
                row = BlockRow.of(line, f"{self.name}: line {number}", self.default_size, self.block_size)
            except DatasetError:
                if self.on_bad_row == "error":
                    raise
                self.bad_rows += 1
                continue
            self.block_size = row.block_size
            rows.append(row)
        return BlockRow.columns(rows, self.names) if rows else None


def read_block_columns(path: str, block_size: int | None = None, on_bad_row: OnBadRow = "error") -> BlockColumns:
    """Read JSON Lines, plain or gzip; `block_size` holds for rows that bring none.

    Raises DatasetError naming the file and the line, if the file cannot be read or (on_bad_row: error) a row is wrong.
    """
    reading = _Reading(path, on_bad_row, block_size)
    digest = hashlib.sha256(RULES.encode() + b"\0")
    for chunk in _whole_lines(path, digest):
        reading.take(chunk)
    parts = reading.parts
    if not parts:
        found = f"none of its {reading.bad_rows} rows is usable" if reading.bad_rows else "the file is empty"
        raise DatasetError(f"{path}: {found}: get it again, or choose another file")
    ids, num_ids, num_listed = _numbered(parts)
    counts = Counter({"rows": sum(len(part["prompt_tokens"]) for part in parts), "bad_rows": reading.bad_rows})
    counts["listed_blocks"], counts["distinct_blocks"] = num_listed, num_ids
    chats = None
    if all(part["chats"] is not None for part in parts):
        chats = [chat for part in parts for chat in part["chats"]]
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
        timestamps_ms=np.concatenate([part["timestamps_ms"] for part in parts]),
        chats=chats,
        counts=dict(counts),
    )


def _numbered(parts: list[dict[str, Any]]) -> tuple[Int32s, int, int]:
    """The ids of prompts, then those of replies, numbered from 0; how many numbers, and how many are of prompts."""
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
        return numbered, highest + 1, num_listed
    import pandas

    numbers, distinct = pandas.factorize(np.concatenate(raw))
    return numbers.astype(np.int32), len(distinct), num_listed


def _offsets(parts: list[dict[str, Any]], name: str) -> Int64s:
    lengths = np.concatenate([part[name] for part in parts])
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])


def _whole_lines(path: str, digest: Any) -> Iterator[bytes]:
    """The file in pieces that end with a line, its bytes fed to the digest."""
    rest = b""
    line = 1
    for block in _blocks(path, digest):
        end = block.rfind(b"\n") + 1
        if not end:
            rest += block
            if len(rest) > MAX_LINE_BYTES:
                raise DatasetError(
                    f"{path}: line {line} is longer than {MAX_LINE_BYTES >> 20} MB: a block trace has a request a line"
                )
            continue
        piece = rest + block[:end]
        rest = block[end:]
        line += piece.count(b"\n")
        yield piece
    if rest.strip():
        yield rest


def _blocks(path: str, digest: Any) -> Iterator[bytes]:
    file = Path(path).expanduser()
    try:
        with file.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            stream: IO[bytes] | gzip.GzipFile = gzip.GzipFile(fileobj=raw) if packed else raw
            while block := stream.read(CHUNK_BYTES):
                digest.update(block)
                yield block
    except EOFError as error:
        raise DatasetError(f"{path}: the gzip file is truncated: get the file again") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DatasetError(f"{path}: the gzip file is damaged ({error}): get the file again") from error
    except FileNotFoundError as error:
        raise DatasetError(f"{path}: no such file: set dataset.path to an existing file") from error
    except IsADirectoryError as error:
        raise DatasetError(f"{path}: is a directory, not a file: set dataset.path to a file in it") from error
    except OSError as error:
        reason = error.strerror or error
        raise DatasetError(f"{path}: cannot be read ({reason}): set dataset.path to a readable file") from error
