"""Trace files: JSON Lines, plain or gzip, with one finished prompt and its recorded reply per row.

A row has `prompt`, `response`, `conversation_id`, `turn_index` and `timestamp` (seconds; not a time if
`timestamp_recorded` is false). It may have `think_s`, the seconds since the previous reply. It may also have exact
token ids, in four fields: `tokenizer`, `prompt_kept_tokens`, `prompt_new_token_ids` and `response_token_ids`. The
prompt ids are then (prompt ids + response ids of the previous turn)[:prompt_kept_tokens] + prompt_new_token_ids.
"""

from collections.abc import Iterator
from dataclasses import dataclass as plain_dataclass

import numpy as np
from pydantic.dataclasses import dataclass

from cachelab.conversation import RecordedConversation
from cachelab.dataset.base import LoadedDataset
from cachelab.dataset.ignored_fields import IgnoredFields
from cachelab.dataset.json_lines import numbered_lines
from cachelab.dataset.json_text import decode_json
from cachelab.dataset.source_bytes import MaxBytes
from cachelab.dataset.source_file import MAX_BYTES, SourceFile
from cachelab.dataset.trace_row import EXACT_FIELDS, FIELDS, ISOLATION_FIELD, TIME_FIELDS, TraceRow
from cachelab.errors import DatasetError
from cachelab.strict_config import STRICT, FilePath
from cachelab.tokens import TokenIds
from cachelab.turn import RecordedTurn

FORMAT_VERSION = "trace-2"
"""Version of the rules that read the format. It is part of the digest, which changes with the rules."""

_KNOWN = frozenset((*FIELDS, *EXACT_FIELDS, ISOLATION_FIELD, *TIME_FIELDS))


@dataclass(frozen=True, config=STRICT)
class TraceFile:
    """Recorded requests, such as the trace artifact of an earlier run. The prompts are used unchanged."""

    path: FilePath
    max_bytes: MaxBytes = MAX_BYTES

    def load(self) -> LoadedDataset:
        """Read the file. Raises DatasetError that names the file, the line and the field."""
        file = SourceFile.read(self.path, FORMAT_VERSION, self.max_bytes)
        parsed = parse_trace(file.text, file.name)
        return LoadedDataset("trace", self.path, file.digest, parsed.conversations, parsed.counts, parsed.notes)


@plain_dataclass(frozen=True, slots=True)
class ParsedTrace:
    """Conversations in the order of their first rows, with their turns sorted by index, and counts and notes."""

    conversations: tuple[RecordedConversation, ...]
    counts: dict[str, int]
    notes: tuple[str, ...]


def parse_trace(text: str, name: str) -> ParsedTrace:
    """Read JSON Lines; `name` is the file's name. Raises DatasetError that names the file, the line and the field."""
    rows: dict[str, dict[int, TraceRow]] = {}
    ignored = IgnoredFields()
    for line, row_text in numbered_lines(text):
        document = decode_json(row_text, name, f"each line of a trace is an object with {', '.join(FIELDS)}", line)
        row = TraceRow.of(document, f"{name}: line {line}", line)
        same = rows.setdefault(row.conversation_id, {})
        if (earlier := same.get(row.turn_index)) is not None:
            raise DatasetError(
                f"{name}: line {line}: field turn_index: conversation {row.conversation_id!r} already has turn "
                f"{row.turn_index} in line {earlier.line}: remove one of them"
            )
        same[row.turn_index] = row
        ignored.add(document.keys() - _KNOWN)
    conversations = tuple(
        RecordedConversation(id, tuple(_turns([same[k] for k in sorted(same)], name))) for id, same in rows.items()
    )
    turns = [turn for conversation in conversations for turn in conversation.turns]
    exact = sum(turn.prompt_ids is not None for turn in turns)
    counts = {"conversations": len(conversations), "turns": len(turns), "turns_with_token_ids": exact}
    return ParsedTrace(conversations, counts | ignored.counts, ignored.notes)


def _turns(rows: list[TraceRow], name: str) -> Iterator[RecordedTurn]:
    """The turns of one conversation's rows, which are sorted by turn index."""
    context: TokenIds = np.empty(0, dtype=np.int32)
    before: str | None = None
    for index, row in enumerate(rows):
        where = f"{name}: line {row.line}"
        if row.turn_index != index:
            raise DatasetError(
                f"{where}: field turn_index: conversation {row.conversation_id!r} has turn {row.turn_index} but no turn"
                f" {index}: number its turns from 0 without a gap"
            )
        prompt_ids: TokenIds | None = None
        if row.exact is not None:
            kept = row.exact.kept_tokens
            if kept > len(context):
                raise DatasetError(
                    f"{where}: field prompt_kept_tokens is {kept}, but the previous turn has {len(context)} token ids "
                    "in prompt and response: write the trace again"
                )
            if kept and row.exact.tokenizer != before:
                raise DatasetError(
                    f"{where}: field tokenizer is {row.exact.tokenizer!r}, but the previous turn has {before!r} and"
                    " prompt_kept_tokens uses its token ids: write the trace again"
                )
            prompt_ids = np.concatenate([context[:kept], row.exact.new_ids])
            context, before = np.concatenate([prompt_ids, row.exact.response_ids]), row.exact.tokenizer
            yield RecordedTurn(
                row.prompt,
                row.response,
                row.timestamp_s,
                prompt_ids,
                row.exact.response_ids,
                row.exact.tokenizer,
                think_s=row.think_s,
                isolation=row.isolation,
            )
        else:
            context, before = np.empty(0, dtype=np.int32), None
            yield RecordedTurn(row.prompt, row.response, row.timestamp_s, think_s=row.think_s, isolation=row.isolation)
