"""The formats that are recognised: for each, what its first records look like, and the dataset that reads it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from cachelab.dataset.base import Dataset
from cachelab.dataset.block_row import usual_sizes
from cachelab.dataset.block_trace import BlockTrace
from cachelab.dataset.chat import Chat
from cachelab.dataset.chat_row import MESSAGES
from cachelab.dataset.claude_code import ClaudeCode
from cachelab.dataset.opening import Opening
from cachelab.dataset.sharegpt import ShareGPT
from cachelab.dataset.text_log import FIELDS as TEXT_LOG_FIELDS
from cachelab.dataset.text_log import TextLog
from cachelab.dataset.trace_file import TraceFile
from cachelab.dataset.trace_row import FIELDS as TRACE_FIELDS
from cachelab.errors import DatasetError


@dataclass(frozen=True, slots=True)
class Format:
    """A format: `dataset=<option>` reads it.

    `matches` gives the reason why a file is one, or None; `build` makes the dataset of a path and its first file's
    opening. `folders`: a folder or a glob will do.
    """

    option: str
    what: str
    matches: Callable[[Opening], str | None]
    build: Callable[[str, Opening], Dataset]
    folders: bool = False


def _objects(opening: Opening, *layouts: str) -> list[dict[str, Any]]:
    """The first records if all of them are objects in one of these layouts."""
    if opening.layout not in layouts or not all(isinstance(record, dict) for record in opening.records):
        return []
    return list(opening.records)


def _have(records: Iterable[dict[str, Any]], *fields: str) -> bool:
    return all(field in record for record in records for field in fields)


def _claude_code(opening: Opening) -> str | None:
    records = _objects(opening, "object", "lines", "array")
    if not records or not _have(records, "requests", "block_size"):
        return None
    if not all(isinstance(record["requests"], list) for record in records):
        return None
    return "sessions with block_size and requests"


def _block_trace(opening: Opening) -> str | None:
    records = _objects(opening, "object", "lines")
    if not records or not _have(records, "hash_ids", "input_length"):
        return None
    fields = set().union(*records)
    if "session_id" in fields:
        return "rows with hash_ids and session_id, AIPerf's sessions"
    if "chat_id" in fields and fields & {"turn", "type"}:
        return "rows with hash_ids, chat_id and turn, as in Qwen-Bailian"
    return "rows with hash_ids and input_length, as in Mooncake"


def _build_block_trace(path: str, opening: Opening) -> Dataset:
    """With the one block size that fits the first rows, where they do not name it."""
    rows = [record for record in opening.records if record.get("block_size") is None]
    if not rows:
        return BlockTrace(path=path)
    lists = [(row["input_length"], row["hash_ids"]) for row in rows]
    sound = [(length, ids) for length, ids in lists if type(length) is int and isinstance(ids, list)]
    if not sound:  # the reader refuses the first row, whatever the size, and says why
        return BlockTrace(path=path, block_size=1)
    sizes = usual_sizes(sound)
    if len(sizes) != 1:
        found = f"{' and '.join(map(str, sizes))} fit" if sizes else "no usual one fits"
        raise DatasetError(
            f"{opening.name}: read as block_trace, but the rows do not tell the block size ({found} the first "
            f"{len(rows)}): set dataset=block_trace dataset.block_size=..."
        )
    return BlockTrace(path=path, block_size=sizes[0])


def _trace(opening: Opening) -> str | None:
    records = _objects(opening, "object", "lines")
    return "rows with prompt, response and turn_index" if records and _have(records, *TRACE_FIELDS) else None


def _text_log(opening: Opening) -> str | None:
    records = _objects(opening, "object", "lines")
    if not records or not _have(records, *TEXT_LOG_FIELDS):
        return None
    texts = all(isinstance(record[field], str) for record in records for field in ("input", "output"))
    return "rows with session_id and finished prompts as input" if texts else None


def _sharegpt(opening: Opening) -> str | None:
    records = _objects(opening, "array")
    if not any(_is_sharegpt(record) for record in records):
        return None
    return "an array of items with conversations of from and value"


def _is_sharegpt(record: dict[str, Any]) -> bool:
    messages = record.get("conversations")
    if not isinstance(messages, list) or not messages:
        return False
    return all(isinstance(message, dict) and "from" in message and "value" in message for message in messages)


def _chat(opening: Opening) -> str | None:
    if opening.layout == "parquet":
        return "Parquet"
    records = _objects(opening, "object", "lines", "array")
    for place in MESSAGES:
        fields = place.split(".")
        if any(isinstance(_at(record, fields), list) for record in records):
            return f"rows with messages in {place}"
    return None


def _at(value: Any, fields: Iterable[str]) -> Any:
    for field in fields:
        value = value.get(field) if isinstance(value, dict) else None
    return value


FORMATS: tuple[Format, ...] = (
    Format(
        "claude_code",
        "Claude Code sessions of kv-cache-tester (block_size, requests)",
        _claude_code,
        lambda path, opening: ClaudeCode(path=path),
        folders=True,
    ),
    Format(
        "block_trace",
        "block traces of Mooncake, Qwen-Bailian and AIPerf (hash_ids, input_length)",
        _block_trace,
        _build_block_trace,
    ),
    Format(
        "trace",
        "cachelab's own traces (prompt, response, conversation_id, turn_index, timestamp)",
        _trace,
        lambda path, opening: TraceFile(path=path),
    ),
    Format(
        "text_log",
        "logs of finished prompts (timestamp, session_id, input, output)",
        _text_log,
        lambda path, opening: TextLog(path=path),
        folders=True,
    ),
    Format(
        "sharegpt",
        "ShareGPT's chats (an array with conversations of from and value)",
        _sharegpt,
        lambda path, opening: ShareGPT(path=path),
    ),
    Format(
        "chat",
        "chat logs and agent trajectories (messages, conversation, traj, history), JSON or Parquet",
        _chat,
        lambda path, opening: Chat(path=path),
        folders=True,
    ),
)
"""Each format in the order in which it is tried: the first that matches is taken."""
