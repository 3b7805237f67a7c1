"""Reads a block trace chunk by chunk, so that its text is never in memory as a whole."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from cachelab.dataset.block_chunk import BlockChunk
from cachelab.dataset.block_fields import KNOWN, FormatError, without_ignored
from cachelab.dataset.block_row import BlockRow, row_object
from cachelab.dataset.id_names import IdNames
from cachelab.dataset.ignored_fields import IgnoredFields
from cachelab.dataset.json_lines import numbered_lines
from cachelab.dataset.source_bytes import opened, unpacked
from cachelab.errors import DatasetError

MAX_LINE_BYTES = 64 << 20
"""The longest line that is read (eight million block ids of eight digits), and the longest run of blank lines."""

OnBadRow = Literal["error", "skip"]


@dataclass(slots=True)
class BlockReader:
    """The state of reading one file: the chunks so far, and what the rows so far have in common."""

    name: str
    on_bad_row: OnBadRow
    default_size: int | None
    ignore_fields: frozenset[str]
    ignored: IgnoredFields = field(default_factory=IgnoredFields)
    block_size: int | None = None
    timed: bool | None = None
    names: IdNames = field(default_factory=IdNames)
    roots: dict[Any, Any] = field(default_factory=dict)
    chunks: list[BlockChunk] = field(default_factory=list)
    bad_rows: int = 0
    line: int = 1
    """The number of the first line that has not been read."""
    blank_bytes: int = 0

    def read(self, path: str, digest: Any, max_bytes: int) -> None:
        """Read the whole file; `digest` is updated with its unpacked bytes. Raises DatasetError."""
        for data in self._whole_lines(path, digest, max_bytes):
            self._add(data)

    def _add(self, data: bytes) -> None:
        """Add whole lines: all at once if every line is plain, otherwise row by row, so that errors name the line."""
        if data.isspace():
            self.blank_bytes += len(data)
            if self.blank_bytes > MAX_LINE_BYTES:
                raise DatasetError(
                    f"{self.name}: line {self.line}: the {MAX_LINE_BYTES >> 20} MB before it are blank: "
                    "get the file again, or choose another file"
                )
        else:
            self.blank_bytes = 0
            chunk = None
            if self.ignore_fields.isdisjoint(KNOWN):
                chunk = BlockChunk.of_plain(data, self.default_size, self.block_size, self.timed, self.line, self.names)
            if chunk is None:
                chunk = self._row_by_row(data)
            if chunk is not None:
                self.block_size = chunk.block_size
                self.timed = self.timed if chunk.timed is None else chunk.timed
                self.chunks.append(chunk)
        self.line += data.count(b"\n")

    def _row_by_row(self, data: bytes) -> BlockChunk | None:
        rows: list[BlockRow] = []
        for number, line in numbered_lines(data, self.line):
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
        return BlockChunk.of_rows(rows, self.names, self.roots) if rows else None

    def _check_time(self, row: BlockRow, where: str) -> None:
        """Check that all rows have a time or none has: a row without one would be sorted before all others."""
        if row.timestamp is None and row.clocked:
            return
        if self.timed is not None and self.timed != (row.timestamp is not None):
            found = "is missing, but earlier rows have one" if self.timed else "is present, but earlier rows have none"
            raise DatasetError(
                f"{where}: field timestamp {found}: give every row one, or set dataset.ignore_fields=[timestamp]"
            )

    def _whole_lines(self, path: str, digest: Any, max_bytes: int) -> Iterator[bytes]:
        """The file's bytes, unpacked, in chunks that end with a line."""
        rest = b""
        with opened(path) as raw:
            for block in unpacked(raw, self.name, max_bytes):
                digest.update(block)
                end = block.rfind(b"\n") + 1
                if not end:
                    rest += block
                    if len(rest) > MAX_LINE_BYTES:
                        longest = f"{MAX_LINE_BYTES >> 20} MB"
                        raise DatasetError(
                            f"{self.name}: line {self.line} is longer than {longest}: write one request per line, "
                            "as the block trace format has it"
                        )
                    continue
                yield rest + block[:end] if rest or end < len(block) else block
                rest = block[end:]
        if rest.strip():
            yield rest
