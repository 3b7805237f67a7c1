"""Reads chat logs (OpenAI-style messages, whole conversations or API calls) from files or from a hub data set."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import chain, islice
from typing import Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from cachelab.conversation import Conversation
from cachelab.dataset.base import LoadedDataset
from cachelab.dataset.chat_calls import Calls
from cachelab.dataset.chat_conversation import ConversationRows
from cachelab.dataset.chat_row import ChatRow, RowReader, RowSettings
from cachelab.dataset.hub_records import hub_records
from cachelab.dataset.ignored_fields import IgnoredFields
from cachelab.dataset.record_files import MAX_BYTES, file_records
from cachelab.dataset.rows_kind import SAMPLE, recognised
from cachelab.dataset.source_bytes import MaxBytes
from cachelab.dataset.source_paths import source_paths
from cachelab.dataset.times import TimeReader, TimeUnit
from cachelab.errors import DatasetError
from cachelab.strict_config import STRICT, FilePath, Text

FORMAT_VERSION = "chat-2"
"""Version of the reading rules; part of the digest, so a change of the rules changes the digest."""

COUNTS = (
    "conversations", "turns", "messages", "rows", "bad_rows", "empty_rows", "failed_calls", "skipped_files",
    "dropped_unknown_role", "dropped_after_last_reply", "dropped_choices", "dropped_video_parts", "dropped_file_parts",
    "dropped_other_parts", "dropped_redacted_reasoning", "dropped_tool_call_ids",
    "empty_messages", "messages_with_reasoning", "invalid_tool_arguments", "aliased_roles", "repaired_texts",
    "system_fields", "conversations_without_reply", "replies_without_prompt", "replies_in_messages",
    "replies_from_next_call", "turns_without_reply", "branches", "repeated_prompts", "reordered_calls",
    "duplicate_ids", "missing_ids", "turns_with_time", "turns_with_think_time", "overlapping_calls",
    "unusable_end_times", "turns_with_usage", "unusable_usage", "rows_without_isolation",
    "ignored_fields", "ignored_values",
)  # fmt: skip
"""The keys of the counts; all of them are always present."""

Rows = Iterator[tuple[str, Any]]

_MOST_NAMES = 12


@dataclass(frozen=True, config=STRICT)
class Chat:
    """Chat logs. `path` is a file, a folder or a pattern; `hub` is the id of a hub data set, or a local copy of one.

    The other settings are explained in conf/dataset/chat.yaml and docs/datasets.md.
    """

    path: FilePath | None = None
    hub: Text | None = None
    split: Text = "train"
    subset: Text | None = None
    revision: Text | None = None
    rows: Literal["auto", "conversation", "request"] = "auto"
    messages_field: Text | None = None
    tools_field: Text | None = None
    response_field: Text | None = None
    conversation_field: Text | None = None
    time_field: Text | None = None
    timestamp_unit: TimeUnit = "auto"
    isolation: Text | None = None
    fields: list[Text] = Field(default_factory=list)
    on_bad_row: Literal["error", "skip"] = "error"
    max_bytes: MaxBytes = MAX_BYTES

    def load(self) -> LoadedDataset:
        """Read the source. Raises DatasetError naming the file, the line, item or row, the field, and the way out."""
        if (self.path is None) == (self.hub is None):
            raise DatasetError(
                "dataset.path: set it to a file, a folder or a pattern, or set dataset.hub to the id of a hub data set"
                f" ({'neither' if self.path is None else 'both'} of them set)"
            )
        counts: Counter[str] = Counter(dict.fromkeys(COUNTS, 0))
        digest = hashlib.sha256(f"{FORMAT_VERSION} {self._reading()}".encode() + b"\0")
        log = ChatLog(self, counts)
        conversations = log.read(self._records(counts, digest))
        source = self.path or f"hf://datasets/{self.hub}@{self.revision or 'main'} {self.split}"
        return LoadedDataset("chat", source, digest.hexdigest(), conversations, dict(counts), log.notes)

    def _records(self, counts: Counter[str], digest: Any) -> Rows:
        if self.hub is not None:
            return hub_records(self.hub, self.split, self.subset, self.revision, digest)
        found = source_paths(str(self.path))
        counts["skipped_files"] = found.skipped
        return chain.from_iterable(file_records(file, self.max_bytes, digest) for file in found.paths)

    def _reading(self) -> list[object]:
        """The settings on which the conversations depend, apart from the source."""
        names = [self.messages_field, self.tools_field, self.response_field, self.conversation_field, self.time_field]
        return [self.rows, *names, self.timestamp_unit, self.isolation, self.fields, self.on_bad_row]


class ChatLog:
    """Turns the records of one log into conversations; `notes` describe how it was read."""

    def __init__(self, settings: Chat, counts: Counter[str]) -> None:
        self._settings, self._counts = settings, counts
        self._ignored, self._times = IgnoredFields(), TimeReader(settings.timestamp_unit)
        names = RowSettings(
            settings.messages_field, settings.tools_field, settings.response_field, settings.conversation_field,
            settings.time_field, settings.isolation, tuple(settings.fields),
        )  # fmt: skip
        self._reader = RowReader(names, self._times, counts, self._ignored)
        self._first_bad: str | None = None
        self._names: dict[str, None] = {}
        self.notes: tuple[str, ...] = ()

    def read(self, records: Rows) -> tuple[Conversation, ...]:
        """The conversations. Raises DatasetError if a row cannot be read, or if no request is left."""
        counts = self._counts
        rows = self._rows(records)
        sample = list(islice(rows, SAMPLE))
        if self._settings.rows != "auto":
            kind, why = self._settings.rows, "dataset.rows"
        elif sample:
            kind, why = recognised(sample)
        else:
            raise self._nothing_left()
        read = Calls(counts) if kind == "request" else ConversationRows(counts)
        for row in chain(sample, rows):
            read.add(row)
        del sample
        ids = _Ids(counts)
        conversations = tuple(Conversation(ids.unique(id), turns) for id, turns in read.conversations())
        if not conversations:
            raise self._nothing_left()
        turns = [turn for conversation in conversations for turn in conversation.turns]
        counts["conversations"], counts["turns"] = len(conversations), len(turns)
        counts["turns_without_reply"] = sum(turn.reply is None for turn in turns)
        messages = [message for turn in turns for message in (*turn.new_messages, turn.reply) if message is not None]
        counts["messages_with_reasoning"] = sum(bool(message.reasoning) for message in messages)
        calls = chain.from_iterable(message.tool_calls for message in messages)
        counts["invalid_tool_arguments"] = sum(call.arguments_object() is None for call in calls)
        counts["turns_with_time"] = sum(turn.timestamp_s is not None for turn in turns)
        counts["turns_with_think_time"] = sum(turn.think_s is not None for turn in turns)
        counts["turns_with_usage"] = sum(turn.usage is not None for turn in turns)
        if self._settings.isolation and counts["rows_without_isolation"] == counts["rows"]:
            raise DatasetError(f"dataset.isolation={self._settings.isolation}: no row has this field")
        for name in self._settings.fields:
            if not any(name in turn.fields for turn in turns):
                there_are = f" (there are: {', '.join(self._names)})" if self._names else ""
                raise DatasetError(
                    f"explain.by or dataset.fields: no row has the field {name}: name a field of the log's "
                    f"rows{there_are}"
                )
        counts.update(self._ignored.counts)
        each = "an API call" if kind == "request" else "a conversation"
        bad = (f"bad rows left out: {counts['bad_rows']:,}; the first: {self._first_bad}",) if self._first_bad else ()
        self.notes = (f"each row was read as {each} ({why})", *self._times.notes, *bad, *self._ignored.notes)
        return conversations

    def _rows(self, records: Rows) -> Iterator[ChatRow]:
        """The rows that hold a prompt; rows without one are counted."""
        for place, record in records:
            self._counts["rows"] += 1
            if self._settings.fields and len(self._names) < _MOST_NAMES:
                self._names |= dict.fromkeys(islice(_names(record), _MOST_NAMES - len(self._names)))
            try:
                row = self._reader.read(record, place)
            except DatasetError as error:
                if self._settings.on_bad_row == "error":
                    raise
                self._counts["bad_rows"] += 1
                self._first_bad = self._first_bad or str(error)
                continue
            if row.failed:
                self._counts["failed_calls"] += 1
            elif not row.messages:
                self._counts["empty_rows"] += 1
            else:
                yield row

    def _nothing_left(self) -> DatasetError:
        source = self._settings.path or self._settings.hub
        reasons = ("bad_rows", "empty_rows", "failed_calls", "conversations_without_reply")
        left_out = [f"{self._counts[key]:,} {key.replace('_', ' ')}" for key in reasons if self._counts[key]]
        first = f"; the first bad row: {self._first_bad}" if self._first_bad else ""
        return DatasetError(
            f"{source}: no request is left of {self._counts['rows']:,} rows ({', '.join(left_out)}){first}: choose a "
            "file that holds conversations, or set dataset.rows"
        )


def _names(record: object, within: str = "") -> Iterator[str]:
    """The fields of a row that hold one value, such as `tenant` and `metadata.route`."""
    for name, value in record.items() if isinstance(record, Mapping) else ():
        if not isinstance(name, str) or not name.isidentifier():
            continue
        if isinstance(value, str | int):
            yield within + name
        elif not within:
            yield from _names(value, f"{name}.")


class _Ids:
    """Makes the ids of conversations unique."""

    def __init__(self, counts: Counter[str]) -> None:
        self._counts = counts
        self._taken: set[str] = set()
        self._number = 0

    def unique(self, id: str | None) -> str:
        """The id, or a numbered name if there is none; with the first free suffix #2, #3, ... if it is taken."""
        self._number += 1
        given = id or f"conversation_{self._number:05d}"
        unique, copy = given, 1
        while unique in self._taken:
            copy += 1
            unique = f"{given}#{copy}"
        self._counts["duplicate_ids"] += copy > 1
        self._taken.add(unique)
        return unique
