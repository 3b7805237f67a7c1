"""The formats that are recognised: a test of the first records, and the dataset that reads the format."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from cachelab.dataset.base import Dataset
from cachelab.dataset.block_row import usual_sizes
from cachelab.dataset.block_trace import BlockTrace
from cachelab.dataset.chat import Chat
from cachelab.dataset.chat_row import MESSAGES, messages_path
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
    """A format that `dataset=<option>` reads.

    `matches` returns the reason why a file has the format, or None. `build` makes the dataset for a path and the
    opening of its first file. `folders`: whether the dataset also reads folders and patterns.
    """

    option: str
    what: str
    matches: Callable[[Opening], str | None]
    build: Callable[[str, Opening], Dataset]
    folders: bool = False


def _objects(opening: Opening, *layouts: str) -> list[dict[str, Any]]:
    """The first records if the file has one of these layouts."""
    return list(opening.records) if opening.layout in layouts else []


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
    """The dataset, with the only usual block size that fits the first rows if they do not state their own."""
    rows = [record for record in opening.records if record.get("block_size") is None]
    if not rows:
        return BlockTrace(path=path)
    lists = [(row["input_length"], row["hash_ids"]) for row in rows]
    sound = [(length, ids) for length, ids in lists if type(length) is int and isinstance(ids, list)]
    if not sound:  # the reader refuses the first row with a reason, whatever the block size
        return BlockTrace(path=path, block_size=1)
    sizes = usual_sizes(sound)
    if len(sizes) != 1:
        found = f"{' and '.join(map(str, sizes))} fit" if sizes else "no usual one fits"
        raise DatasetError(
            f"{opening.name}: read as block_trace, but the rows do not state the block size ({found} the first "
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
    path = next((path for record in opening.records if (path := messages_path(record))), None)
    return None if path is None else f"rows with messages in the field {path}"


FORMATS: tuple[Format, ...] = (
    Format(
        "claude_code",
        "Claude Code sessions (block_size, requests)",
        _claude_code,
        lambda path, opening: ClaudeCode(path=path),
        folders=True,
    ),
    Format(
        "block_trace",
        "Mooncake, Qwen-Bailian, AIPerf (hash_ids, input_length)",
        _block_trace,
        _build_block_trace,
    ),
    Format(
        "trace",
        "cachelab's own traces (prompt, response, turn_index)",
        _trace,
        lambda path, opening: TraceFile(path=path),
    ),
    Format(
        "text_log",
        "finished prompts (session_id, input, output)",
        _text_log,
        lambda path, opening: TextLog(path=path),
        folders=True,
    ),
    Format(
        "sharegpt",
        "an array of conversations (from, value)",
        _sharegpt,
        lambda path, opening: ShareGPT(path=path),
    ),
    Format(
        "chat",
        f"messages ({', '.join(MESSAGES)})",
        _chat,
        lambda path, opening: Chat(path=path),
        folders=True,
    ),
)
"""The formats in the order in which they are tried. The first one that matches is used."""
