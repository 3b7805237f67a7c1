"""The fields that a row of a block trace may have, and the unit of its times, which they tell."""

from collections.abc import Collection, Mapping
from typing import Any, Literal

from cachelab.dataset.json_text import kind, quoted
from cachelab.errors import ConfigError, DatasetError

NEEDED = ("input_length", "output_length", "hash_ids")

OPTIONAL = (
    "timestamp", "block_size", "chat_id", "parent_chat_id", "output_hash_ids", "hash_id_scope", "session_id", "delay",
)  # fmt: skip
"""Fields that are read where a row has them; without `hash_id_scope` ids are global."""

HARMLESS = ("type", "turn", "request_id", "group_id")
"""Fields that change nothing: `turn` repeats what `parent_chat_id` says, the others name a request or a group."""

Unit = Literal["ms", "s"]
Marks = Literal["none", "seconds", "milliseconds", "unclear"]

KNOWN = frozenset((*NEEDED, *OPTIONAL, *HARMLESS))


class FormatError(DatasetError):
    """What the rows of a source mean is not known, so that no row can be skipped for it."""


def check_ignored(ignored: Collection[str]) -> None:
    """Raises ConfigError if a field that every row needs is to be ignored."""
    if needed := [field for field in NEEDED if field in ignored]:
        raise ConfigError(f"dataset.ignore_fields: {needed[0]} is needed, no row can be read without it: take it out")


def without_ignored(row: dict[str, Any], ignored: Collection[str], where: str) -> tuple[dict[str, Any], list[str]]:
    """The row without the fields to ignore, and which of these it had.

    Raises FormatError naming `where` if it has other fields that may change what the row means.
    """
    left_out = [field for field in row if field in ignored] if ignored else []
    if left_out:
        row = {field: value for field, value in row.items() if field not in ignored}
    if not row.keys() <= KNOWN:
        unknown = sorted(row.keys() - KNOWN)
        names = [name if name.isidentifier() and len(name) <= 40 else quoted(name) for name in unknown[:10]]
        which = f"field {names[0]} is" if len(unknown) == 1 else f"fields {', '.join(names)} are"
        raise FormatError(
            f"{where}: {which} not known and may change what a row means: "
            f"set dataset.ignore_fields=[{','.join(names)}] only if the rows mean the same without"
        )
    if (scope := row.get("hash_id_scope")) not in (None, "global", "local"):
        found = quoted(scope) if isinstance(scope, str) else kind(scope)
        raise FormatError(f"{where}: field hash_id_scope is {found}, not 'global' or 'local': correct the row")
    return row, left_out


def marks_of(fields: Collection[str]) -> Marks:
    """What the fields of a row say about the unit of `timestamp`.

    Qwen-Bailian's rows have `chat_id` with `type` and `turn`, and seconds; those that cachelab writes have `chat_id`
    with `block_size`, and milliseconds. AIPerf's have `session_id`, and milliseconds. Rows with none of these are
    Mooncake's, in milliseconds.
    """
    chat = "chat_id" in fields or "parent_chat_id" in fields
    bailian = "turn" in fields or "type" in fields
    if "session_id" in fields or "delay" in fields:
        return "unclear" if chat or bailian else "milliseconds"
    if not chat and not bailian:
        return "none"
    if chat and bailian != ("block_size" in fields):
        return "seconds" if bailian else "milliseconds"
    return "unclear"


def unit_of(marks: Mapping[Marks, int], given: Unit | None, name: str) -> tuple[Unit, str]:
    """The unit of a trace's times, and why; `marks` are those of its rows, each with the first line that has it.

    Raises FormatError naming `name` and a line where no unit is given and the rows do not tell.
    """
    if given is not None:
        return given, "dataset.timestamp_unit"
    found = set(marks)
    if found <= {"none", "milliseconds"}:
        return "ms", "no row has the fields of Qwen-Bailian"
    if found <= {"seconds"}:
        return "s", "the rows have the fields of Qwen-Bailian, chat_id with type or turn"
    line = max(marks.values())
    raise FormatError(
        f"{name}: line {line}: field timestamp: the row's fields do not tell whether it is in seconds (as in "
        "Qwen-Bailian) or in milliseconds (as in Mooncake): set dataset.timestamp_unit to s or to ms"
    )
