"""The fields that a row of a block trace may have, and the unit of its times, which is recognised from them."""

from collections.abc import Collection, Mapping
from typing import Any, Literal

from cachelab.dataset.json_text import kind, quoted
from cachelab.errors import ConfigError, DatasetError

NEEDED = ("input_length", "output_length", "hash_ids")

OPTIONAL = (
    "timestamp", "block_size", "chat_id", "parent_chat_id", "output_hash_ids", "hash_id_scope", "session_id", "delay",
)  # fmt: skip
"""Fields that a row may have. Without `hash_id_scope` its ids are global."""

HARMLESS = ("type", "turn", "request_id", "group_id")
"""Fields without an effect on blocks: `turn` repeats `parent_chat_id`, the others name a request or a group."""

Unit = Literal["ms", "s"]
Marks = Literal["none", "seconds", "milliseconds", "unclear"]

KNOWN = frozenset((*NEEDED, *OPTIONAL, *HARMLESS))


class FormatError(DatasetError):
    """The meaning of a source's rows is unknown. The whole source is refused, because skipping a row is not enough."""


def check_ignored(ignored: Collection[str]) -> None:
    """Check that no field that every row needs is ignored. Raises ConfigError."""
    if needed := [field for field in NEEDED if field in ignored]:
        raise ConfigError(f"dataset.ignore_fields: {needed[0]} is needed to read a row: remove it from the list")


def without_ignored(row: dict[str, Any], ignored: Collection[str], where: str) -> tuple[dict[str, Any], list[str]]:
    """The row without the ignored fields, and the names of those that it had.

    Raises FormatError that names `where` if the row has unknown fields, which may change what it means.
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
            f"set dataset.ignore_fields=[{','.join(names)}] if the rows mean the same without it"
        )
    if (scope := row.get("hash_id_scope")) not in (None, "global", "local"):
        found = quoted(scope) if isinstance(scope, str) else kind(scope)
        raise FormatError(f"{where}: field hash_id_scope is {found}, not 'global' or 'local': correct the row")
    return row, left_out


def marks_of(fields: Collection[str]) -> Marks:
    """The unit of `timestamp` that the fields of a row suggest.

    Rows of Qwen-Bailian have `chat_id` with `type` and `turn`; their times are seconds. Rows that cachelab writes have
    `chat_id` with `block_size`, rows of AIPerf `session_id`; their times are milliseconds. Rows with none of these
    fields are Mooncake's, in milliseconds.
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
    """The unit of a trace's times, and the reason. `marks`: those of its rows, each with the first line that has it.

    Raises FormatError that names `name` and a line if no unit is given and the fields do not decide it.
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
        f"{name}: line {line}: field timestamp: the row's fields do not show whether it is in seconds (as in "
        "Qwen-Bailian) or in milliseconds (as in Mooncake): set dataset.timestamp_unit to s or to ms"
    )
