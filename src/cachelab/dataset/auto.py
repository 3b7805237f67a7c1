"""Recognises the format of `dataset.path`; without a path, the bundled sample."""

import re
from collections.abc import Sequence
from dataclasses import replace

from pydantic import Field
from pydantic.dataclasses import dataclass

from cachelab.conversation import AnyConversation, RecordedConversation
from cachelab.dataset.base import Dataset, LoadedDataset
from cachelab.dataset.block_trace import BlockTrace
from cachelab.dataset.chat import Chat
from cachelab.dataset.formats import FORMATS, Format
from cachelab.dataset.length_only import length_columns, length_only
from cachelab.dataset.opening import Opening
from cachelab.dataset.sample import Sample
from cachelab.dataset.source_bytes import path_name
from cachelab.dataset.source_paths import source_paths
from cachelab.dataset.stored_conversations import StoredConversations
from cachelab.errors import DatasetError
from cachelab.strict_config import STRICT, FilePath, Text
from cachelab.tokenized_conversation import TokenizedConversation
from cachelab.tokens import BlockTokens

_KEY = re.compile(r"\bdataset\.([a-z_]+)")


@dataclass(frozen=True, config=STRICT)
class Auto:
    """Any dataset with a path. The format is recognised from the first records of the first file.

    `fields` are those of Chat; other formats have none.
    """

    path: FilePath | None = None
    fields: list[Text] = Field(default_factory=list)

    def load(self) -> LoadedDataset:
        """Read the source. Raises DatasetError that lists the known formats if the format is not recognised."""
        if self.path is None and self.fields:
            raise DatasetError(
                "explain.by or dataset.fields: the bundled sample has no fields: set dataset.path to a chat log"
            )
        if self.path is None:
            return Sample().load()
        format, reason, dataset = recognised(self.path)
        if self.fields:
            if not isinstance(dataset, Chat):
                raise DatasetError(
                    f"explain.by or dataset.fields: {path_name(self.path)} is of the format {format.option}, whose "
                    "rows have no fields to group by: leave it out, or give a chat log"
                )
            dataset = replace(dataset, fields=self.fields)
        try:
            loaded = dataset.load()
        except DatasetError as error:
            raise DatasetError(_with_option(str(error), _option(format, dataset))) from error
        line = f"{path_name(self.path)}: read as dataset={format.option} ({reason})"
        needs = _needs(loaded.conversations)
        return replace(loaded, notes=(f"{line}: {needs}" if needs else line, *loaded.notes))


def recognised(path: str) -> tuple[Format, str, Dataset]:
    """The format of a path, the reason, and the dataset that reads it. Raises DatasetError if no format matches."""
    found = source_paths(path)
    opening = Opening.of(found.paths[0])
    for format in FORMATS:
        if (reason := format.matches(opening)) is not None:
            if found.paths != (path,) and not format.folders:
                raise DatasetError(
                    f"{path_name(path)}: its first file {opening.name} is of the format {format.option}, which is read "
                    "from one file: set dataset.path to a file"
                )
            return format, reason, format.build(path, opening)
    fields = list(dict.fromkeys(field for record in opening.records for field in record))
    if lengths := length_columns(opening.columns or fields):
        raise length_only(opening.name, lengths)
    known = "; ".join(f"{format.option}: {format.what}" for format in FORMATS)
    raise DatasetError(
        f"{opening.name}: its format is not recognised ({_seen(opening, fields)}): set dataset=OPTION, or convert the "
        f"file to one of: {known}"
    )


def _option(format: Format, dataset: Dataset) -> str:
    """The recognised dataset as overrides for the command line."""
    size = dataset.block_size if isinstance(dataset, BlockTrace) else None
    return f"dataset={format.option}" if size is None else f"dataset={format.option} dataset.block_size={size}"


def _with_option(said: str, option: str) -> str:
    """An error's text. If it says to set a key that dataset=auto does not have, the option that has it is added."""
    others = set(_KEY.findall(said)) - {"path", "fields"}
    return f"{said} (with {option}: dataset=auto only has dataset.path and fields)" if others else said


def _seen(opening: Opening, fields: Sequence[str]) -> str:
    layout = {
        "array": "a JSON array", "lines": "JSON Lines", "object": "a JSON object", "table": "a table",
        "parquet": "Parquet", "other": "neither JSON nor a table",
    }[opening.layout]  # fmt: skip
    names = [name[:20] for name in (opening.columns or fields)[:8] if name.isprintable()]
    return f"{layout} with the fields {', '.join(names)}" if names else layout


def _needs(conversations: Sequence[AnyConversation]) -> str:
    """What the user must know about a source without chats; "" for chats."""
    if all(isinstance(conversation, RecordedConversation) for conversation in conversations):
        return "its prompts are finished, trace=multi_turn uses them unchanged"
    if isinstance(conversations, StoredConversations):
        return ""
    prompts = [
        turn.new_ids
        for conversation in conversations
        if isinstance(conversation, TokenizedConversation)
        for turn in conversation.turns
        if isinstance(turn.new_ids, BlockTokens)
    ]
    if not prompts:
        return ""
    size = prompts[0].block_size
    if any(prompt.listed is None for prompt in prompts):
        return f"block ids without text, counted as vLLM does; its own blocks are engine.block_size={size}"
    return (
        "block ids without text; engine=replay counts the blocks that it lists, or as vLLM does with engine.rules=vllm "
        f"engine.block_size={size}"
    )
