"""Logs of finished prompts, such as LMCache's agent traces: one file, a folder or a pattern."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass as plain_dataclass
from dataclasses import field
from itertools import chain

from pydantic.dataclasses import dataclass

from cachelab.conversation import RecordedConversation
from cachelab.dataset.base import LoadedDataset
from cachelab.dataset.ignored_fields import IgnoredFields
from cachelab.dataset.record import Record
from cachelab.dataset.record_files import MAX_BYTES, file_records
from cachelab.dataset.source_bytes import MaxBytes
from cachelab.dataset.source_paths import source_paths
from cachelab.dataset.times import TimeReader, TimeUnit
from cachelab.errors import DatasetError
from cachelab.strict_config import STRICT, FilePath, Text
from cachelab.turn import RecordedTurn

FORMAT_VERSION = "text-log-1"
"""Version of the rules that read the format. It is part of the digest, which changes with the rules."""

FIELDS = ("timestamp", "session_id", "input", "output")
"""The fields of every row."""


@dataclass(frozen=True, config=STRICT)
class TextLog:
    """Requests with the whole prompt as text: rows with `timestamp`, `session_id`, `input` and `output`.

    The rows of a session are one conversation, sorted by time. Rows with equal times, and all rows if `timestamp_unit`
    is none, keep the order of the files. `max_bytes` is the limit of each file.
    """

    path: FilePath
    timestamp_unit: TimeUnit = "auto"
    ignore_fields: list[Text] = field(default_factory=list)
    max_bytes: MaxBytes = MAX_BYTES

    def load(self) -> LoadedDataset:
        """Read the files. Raises DatasetError that names the file, the line or item, and the field."""
        found = source_paths(self.path)
        digest = hashlib.sha256(f"{FORMAT_VERSION} {self.timestamp_unit}".encode() + b"\0")
        ignored, times = IgnoredFields(), TimeReader(self.timestamp_unit)
        records = chain.from_iterable(file_records(path, self.max_bytes, digest) for path in found.paths)
        rows = [_row(value, where, self.ignore_fields, ignored, times) for where, value in records]
        sessions: dict[str, list[_Row]] = {}
        for row in rows:
            sessions.setdefault(row.session, []).append(row)
        start_ns = min((row.time_ns for row in rows if row.time_ns is not None), default=0)
        conversations: list[RecordedConversation] = []
        reordered = 0
        for id, logged in sessions.items():
            by_time = sorted(logged, key=lambda row: row.time_ns or 0)
            reordered += sum(row is not other for row, other in zip(logged, by_time, strict=True))
            conversations.append(RecordedConversation(id, tuple(row.turn(start_ns) for row in by_time)))
        counts = {
            "conversations": len(conversations),
            "turns": len(rows),
            "reordered_turns": reordered,
            "empty_prompts": sum(not row.prompt for row in rows),
            "turns_without_reply": sum(not row.reply for row in rows),
            "skipped_files": found.skipped,
            **ignored.counts,
        }
        notes = (*times.notes, *ignored.notes)
        return LoadedDataset("text_log", self.path, digest.hexdigest(), conversations, counts, notes)


@plain_dataclass(frozen=True, slots=True)
class _Row:
    """One request. `time_ns` is None if dataset.timestamp_unit=none."""

    time_ns: int | None
    session: str
    prompt: str
    reply: str

    def turn(self, start_ns: int) -> RecordedTurn:
        """The row as a turn. Its time is in seconds from `start_ns`."""
        return RecordedTurn(self.prompt, self.reply, None if self.time_ns is None else (self.time_ns - start_ns) / 1e9)


def _row(value: object, where: str, ignore: Collection[str], ignored: IgnoredFields, times: TimeReader) -> _Row:
    record = Record.of(value, where, f"an object with {', '.join(FIELDS)}")
    if isinstance(record.fields.get("input"), list):
        raise DatasetError(f"{where}: field input is an array, not a finished prompt: read messages with dataset=chat")
    record.check_fields(FIELDS, ignore, ignored)
    timestamp = record.value("timestamp")
    if timestamp is None:
        raise record.wrong("timestamp", timestamp, "a time")
    return _Row(
        times.ns(timestamp, f"{where}: field timestamp"),
        record.text("session_id", blank=False),
        record.text("input"),
        record.text("output"),
    )
