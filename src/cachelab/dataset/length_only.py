"""Recognises and refuses traces that hold only the lengths of requests."""

import csv
from collections.abc import Collection

from cachelab.errors import DatasetError

_LENGTHS = (
    "contexttokens", "generatedtokens", "request tokens", "response tokens", "total tokens", "input_length",
    "output_length", "input_tokens", "output_tokens", "prompt_tokens", "completion_tokens", "num_prefill_tokens",
    "num_decode_tokens",
)  # fmt: skip
_CONTENT = (
    "hash_ids", "messages", "prompt", "input", "text", "conversation", "conversations", "requests", "content",
)  # fmt: skip


def length_columns(names: Collection[str]) -> list[str]:
    """The columns with token counts; an empty list if there are none, or if a column holds text or blocks."""
    plain = {name: name.strip().strip('"').lower() for name in names}
    if any(name in _CONTENT for name in plain.values()):
        return []
    return [name.strip() for name, lower in plain.items() if lower in _LENGTHS]


def refuse_length_only(text: str, name: str) -> None:
    """Raise DatasetError if the text is a table (CSV) of lengths, such as Azure's and BurstGPT's traces."""
    header = next(csv.reader(text[:4096].removeprefix("\ufeff").splitlines()[:1]), [])
    if len(header) > 1 and (found := length_columns(header)):
        raise length_only(name, found)


def length_only(name: str, columns: Collection[str]) -> DatasetError:
    """The error for a trace of lengths."""
    return DatasetError(
        f"{name}: a trace of lengths ({', '.join(columns)}): it holds neither text nor block ids, so it is unknown "
        "what its prompts share: use a trace with messages, prompts or hash_ids"
    )
