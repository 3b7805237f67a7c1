"""Logs of finished prompts: LMCache's agent traces, one file, a folder or a glob."""

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass as plain_dataclass
from dataclasses import field
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from cachelab.conversation import RecordedConversation, RecordedTurn
from cachelab.dataset.base import LoadedDataset
from cachelab.dataset.ignored_fields import IgnoredFields
from cachelab.dataset.json_lines import numbered_lines
from cachelab.dataset.json_text import decode_json
from cachelab.dataset.length_only import refuse_length_only
from cachelab.dataset.record import Record
from cachelab.dataset.source_file import MAX_BYTES, SourceFile
from cachelab.dataset.source_paths import source_paths
from cachelab.dataset.time_unit import SECONDS, TimeUnit, check_unit
from cachelab.errors import DatasetError
from cachelab.strict_config import STRICT

FORMAT_VERSION = "text-log-1"
"""Version of the rules that read the format: a digest over it changes when they do."""

SUFFIXES = (".jsonl", ".jsonl.gz")
"""The files of a folder that are read."""

FIELDS = ("timestamp", "session_id", "input", "output")
"""What every row has."""


@dataclass(frozen=True, config=STRICT)
class TextLog:
    """Requests with the whole prompt as text, JSON Lines: `timestamp`, `session_id`, `input` and `output`.

    The rows of a session are a conversation, in the order of their times; equal times keep the files' order.
    `max_bytes` holds for each file.
    """

    path: Annotated[str, Field(min_length=1)]
    timestamp_unit: TimeUnit = "us"
    ignore_fields: list[str] = field(default_factory=list)
    max_bytes: Annotated[int, Field(gt=0, lt=1 << 63)] = MAX_BYTES

    def load(self) -> LoadedDataset:
        """Read the files. Raises DatasetError naming the file, the line and the field."""
        found = source_paths(self.path, SUFFIXES)
        digest = hashlib.sha256(f"{FORMAT_VERSION} {self.timestamp_unit}".encode() + b"\0")
        rows: list[_Row] = []
        ignored = IgnoredFields()
        for path in found.paths:
            file = SourceFile.read(path, FORMAT_VERSION, self.max_bytes)
            digest.update(file.digest.encode())
            rows += _rows(file, self.ignore_fields, ignored)
        first = min(rows, key=lambda row: row.timestamp)
        check_unit(first.timestamp, self.timestamp_unit, first.where, "timestamp")
        sessions: dict[str, list[_Row]] = {}
        for row in rows:
            sessions.setdefault(row.session, []).append(row)
        reordered = 0
        conversations: list[RecordedConversation] = []
        for id, logged in sessions.items():
            by_time = sorted(logged, key=lambda row: row.timestamp)
            reordered += sum(row is not other for row, other in zip(logged, by_time, strict=True))
            turns = (
                RecordedTurn(row.prompt, row.reply, (row.timestamp - first.timestamp) * SECONDS[self.timestamp_unit])
                for row in by_time
            )
            conversations.append(RecordedConversation(id, tuple(turns)))
        counts = {
            "conversations": len(conversations),
            "turns": len(rows),
            "reordered_turns": reordered,
            "empty_prompts": sum(not row.prompt for row in rows),
            "turns_without_reply": sum(not row.reply for row in rows),
            "skipped_files": found.skipped,
            **ignored.counts,
        }
        notes = (f"timestamps of the dataset are read in {self.timestamp_unit}", *ignored.notes)
        return LoadedDataset("text_log", self.path, digest.hexdigest(), conversations, counts, notes)


@plain_dataclass(frozen=True, slots=True)
class _Row:
    where: str
    timestamp: float
    session: str
    prompt: str
    reply: str


def _rows(file: SourceFile, ignore: Collection[str], ignored: IgnoredFields) -> Iterator[_Row]:
    refuse_length_only(file.text, file.name)
    what = f"an object with {', '.join(FIELDS)}"
    for line, text in numbered_lines(file.text):
        where = f"{file.name}: line {line}"
        record = Record.of(decode_json(text, file.name, f"each line of a text log is {what}", line), where, what)
        if isinstance(record.fields.get("input"), list):
            raise DatasetError(
                f"{where}: field input is an array, not a finished prompt: read messages with dataset=chat"
            )
        record.check_fields(FIELDS, ignore, ignored)
        yield _Row(
            where,
            record.number("timestamp"),
            record.text("session_id", blank=False),
            record.text("input"),
            record.text("output"),
        )
