"""Reads ShareGPT's schema: an array of {"id", "conversations": [{"from", "value"}]}.

Malformed messages are handled by these rules, in this order:

* a message with a blank, null or missing value is dropped (`dropped_empty`);
* a message of a speaker other than human, gpt, system and their aliases is dropped (`dropped_unknown_speaker`);
* a conversation without a human message is dropped with its other messages (`dropped_without_human`);
* a gpt message before the first human one is dropped (`dropped_leading_gpt`);
* a system message before the first human one is the conversation's system text, a later one is dropped
  (`dropped_late_system`);
* consecutive messages of one speaker are then merged, with a blank line between them (`merged_human`, `merged_gpt`);
* fields outside the schema are not read (`ignored_fields`: how many different fields; `ignored_values`).

Therefore `messages` = the messages used + the sum of all `dropped_*`, which count only messages.
"""

from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from cachelab.conversation import Conversation
from cachelab.dataset.ignored_fields import IgnoredFields
from cachelab.dataset.json_records import json_records
from cachelab.dataset.json_text import decode_json, is_unicode, kind
from cachelab.dataset.stored_conversations import StoredConversations
from cachelab.errors import DatasetError

FORMAT_VERSION = "sharegpt-1"
"""Version of the rules above; part of the digest, so a change of the rules changes the digest."""

COUNTS = (
    "conversations", "turns", "messages", "system_messages",
    "dropped_empty", "dropped_unknown_speaker", "dropped_without_human", "dropped_leading_gpt", "dropped_late_system",
    "merged_human", "merged_gpt", "turns_without_reply", "aliased_speakers", "repaired_texts",
    "duplicate_ids", "missing_ids", "conversations_without_human",
    "ignored_fields", "ignored_values",
)  # fmt: skip
"""The keys of the counts; all of them are always present."""

_ITEM_FIELDS = frozenset(("id", "conversations"))
_MESSAGE_FIELDS = frozenset(("from", "value"))
_SPEAKERS = {"human": "human", "gpt": "gpt", "system": "system", "user": "human"}
_SPEAKERS |= dict.fromkeys(("assistant", "chatgpt", "bing", "bard", "bot"), "gpt")
_SCHEMA = 'ShareGPT\'s schema is an array of {"id", "conversations": [{"from", "value"}]}'


@dataclass(frozen=True, slots=True)
class ParsedMessages:
    """Conversations in the order of the source, the counts (their keys are COUNTS), and notes."""

    conversations: Sequence[Conversation]
    counts: Mapping[str, int]
    notes: tuple[str, ...] = ()


def parse_messages(text: str, name: str) -> ParsedMessages:
    """Read ShareGPT's JSON; `name` is the file's in errors.

    Raises DatasetError naming the file and the line, or the item (counted from 0) and the field, if the JSON or its
    structure is broken, or if no conversation is left.
    """
    document = decode_json(text, name, f"{_SCHEMA}; JSON Lines go to dataset=trace")
    if not isinstance(document, list):
        raise DatasetError(f"{name}: the top level is {kind(document)}, not an array: {_SCHEMA}")
    if not document:
        raise DatasetError(f"{name}: the array is empty: choose a file that holds conversations")
    return _parsed(document, name)


def parse_pieces(pieces: Iterator[bytes], name: str) -> ParsedMessages:
    """Read ShareGPT's JSON piece by piece. Memory: a piece, the longest item, and the texts up to a fixed size.

    Raises DatasetError where `parse_messages` does; its text can differ.
    """
    first = next((piece for piece in pieces if piece.strip()), b"")
    if not first.removeprefix(BOM_UTF8).lstrip(b" \t\r\n").startswith(b"["):
        raise DatasetError(f"{name}: the top level is not an array: {_SCHEMA}")
    return _parsed((item for _, item in json_records(chain([first], pieces), name)), name)


def _parsed(items: Iterable[Any], name: str) -> ParsedMessages:
    """The conversations of the items of the array."""
    counts: Counter[str] = Counter(dict.fromkeys(COUNTS, 0))
    ignored = IgnoredFields()
    ids: set[str] = set()
    conversations = StoredConversations()
    index = -1
    for index, item in enumerate(items):
        where = f"{name}: item {index}"
        spoken = _spoken(item, where, counts, ignored)
        given_id = _given_id(item, where)
        if not any(speaker == "human" for speaker, _ in spoken):
            counts["conversations_without_human"] += 1
            counts["dropped_without_human"] += len(spoken)
            continue
        counts["missing_ids"] += given_id is None
        id = _unique(given_id or f"conversation_{index + 1:05d}", ids, counts)
        conversation = _conversation(id, spoken, counts)
        counts["turns"] += len(conversation.turns)
        conversations.add(conversation)
    if not conversations:
        raise DatasetError(f"{name}: none of {index + 1} conversations has a human message: {_SCHEMA}")
    counts["conversations"] = len(conversations)
    return ParsedMessages(conversations, {**counts, **ignored.counts}, ignored.notes)


def _spoken(item: Any, where: str, counts: Counter[str], ignored: IgnoredFields) -> list[tuple[str, str]]:
    """The messages of an item that have a known speaker and a text, as (human | gpt | system, text)."""
    if not isinstance(item, dict):
        raise DatasetError(f"{where} is {kind(item)}, not an object: {_SCHEMA}")
    if "conversations" not in item:
        raise DatasetError(f"{where} has no field conversations: {_SCHEMA}")
    if not isinstance(messages := item["conversations"], list):
        raise DatasetError(f"{where}: field conversations is {kind(messages)}, not an array: {_SCHEMA}")
    ignored.add(item.keys() - _ITEM_FIELDS)
    spoken: list[tuple[str, str]] = []
    for index, message in enumerate(messages):
        if not isinstance(message, dict):
            raise DatasetError(f"{where}: conversations[{index}] is {kind(message)}, not an object: {_SCHEMA}")
        ignored.add(message.keys() - _MESSAGE_FIELDS)
        value, speaker = message.get("value"), message.get("from")
        if value is not None and not isinstance(value, str):
            raise DatasetError(f"{where}: conversations[{index}].value is {kind(value)}, not text or null: {_SCHEMA}")
        counts["messages"] += 1
        known = _SPEAKERS.get(speaker.strip().lower()) if isinstance(speaker, str) else None
        if value is None or not value.strip():
            counts["dropped_empty"] += 1
        elif known is None:
            counts["dropped_unknown_speaker"] += 1
        else:
            counts["aliased_speakers"] += known != speaker
            if not is_unicode(value):
                counts["repaired_texts"] += 1
                value = "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in value)
            spoken.append((known, value))
    return spoken


def _conversation(id: str, spoken: list[tuple[str, str]], counts: Counter[str]) -> Conversation:
    """The conversation of these messages; at least one of them is human."""
    first = next(index for index, (speaker, _) in enumerate(spoken) if speaker == "human")
    system = [text for speaker, text in spoken[:first] if speaker == "system"]
    chat = [(speaker, text) for speaker, text in spoken[first:] if speaker != "system"]
    counts["system_messages"] += len(system)
    counts["dropped_leading_gpt"] += first - len(system)
    counts["dropped_late_system"] += len(spoken) - first - len(chat)
    turns: list[tuple[list[str], list[str]]] = []
    before = "gpt"
    for speaker, text in chat:
        if speaker == "human" and before == "gpt":
            turns.append(([], []))
        elif speaker == before:
            counts[f"merged_{speaker}"] += 1
        turns[-1][speaker == "gpt"].append(text)
        before = speaker
    counts["turns_without_reply"] += not turns[-1][1]
    exchanges = [("\n\n".join(user), "\n\n".join(assistant)) for user, assistant in turns]
    return Conversation.of_texts(id, exchanges, "\n\n".join(system) if system else None)


def _given_id(item: dict[str, Any], where: str) -> str | None:
    """The id of an item; None if it is missing, null or blank."""
    given = item.get("id")
    if given is None or isinstance(given, str):
        if given is not None and not is_unicode(given):
            raise DatasetError(f"{where}: field id holds half of a surrogate pair: give it a valid text")
        return given if given and given.strip() else None
    if isinstance(given, int) and not isinstance(given, bool):
        return str(given)
    raise DatasetError(f"{where}: field id is {kind(given)}, not text: {_SCHEMA}")


def _unique(id: str, ids: set[str], counts: Counter[str]) -> str:
    """The id, with the first free suffix #2, #3, ... if it is taken; it is added to `ids`."""
    unique, copy = id, 1
    while unique in ids:
        copy += 1
        unique = f"{id}#{copy}"
    counts["duplicate_ids"] += copy > 1
    ids.add(unique)
    return unique
