"""The classes of breaks: what each one means, and how a user fixes it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

BreakClass = Literal[
    "date_or_time", "id_or_number", "user_field", "order", "white_space", "reasoning", "message_edited",
    "reply_missing", "reply_rewritten", "history_truncated", "history_compacted", "system_replaced", "tools_replaced",
    "image", "isolation", "different_task", "unclassified",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class ClassText:
    """`title`: the class in a few words. `phrase`: a cause as the subject of a sentence, with {place} for its place.

    `advice`: how to fix it in one sentence, "" where there is nothing to fix. `undone`: what the workload holds when a
    cause of this class is undone, "" where it is not undone.
    """

    title: str
    phrase: str
    advice: str
    undone: str


_VOLATILE = "the first value in every prompt"

CLASSES: Mapping[BreakClass, ClassText] = {
    "date_or_time": ClassText(
        "date or time",
        "a date or time in the {place}",
        "Move the date or time to the end of the last user message, or round it so that it changes rarely.",
        _VOLATILE,
    ),
    "id_or_number": ClassText(
        "id, counter or number",
        "an id or number in the {place}",
        "Remove the id or number from the prompt, or move it to the end of the last user message.",
        _VOLATILE,
    ),
    "user_field": ClassText(
        "user or tenant field",
        "a user or tenant field in the {place}",
        "Move the user's data behind all text that the users share.",
        _VOLATILE,
    ),
    "order": ClassText(
        "changed order of tools, keys or list items",
        "a changed order in the {place}",
        "Sort the tools, keys or items before each request, with a fixed key order in the JSON.",
        "the order of the earlier request",
    ),
    "white_space": ClassText(
        "change of white space",
        "a change of white space in the {place}",
        "Send the history byte for byte as it was sent before.",
        "the white space of the earlier request",
    ),
    "reasoning": ClassText(
        "change of reasoning",
        "a change of reasoning in the {place}",
        "Keep the reasoning of earlier replies in the history, with a chat template that shows it.",
        "the reasoning as in the earlier request",
    ),
    "message_edited": ClassText(
        "message edited in the history",
        "an edited {place}",
        "Append messages, and leave those that were sent unchanged.",
        "the message of the earlier request",
    ),
    "reply_missing": ClassText(
        "reply missing from the history",
        "a reply missing from the history",
        "Send each reply of the model in the next prompt.",
        "the reply in the history",
    ),
    "reply_rewritten": ClassText(
        "reply rewritten in the history",
        "a reply rewritten in the history",
        "Send each reply as the model wrote it, without trimming or reformatting.",
        "the reply as the model wrote it",
    ),
    "history_truncated": ClassText(
        "history truncated",
        "a truncated history",
        "Remove many whole turns at once and rarely, not a few with each request.",
        "the removed messages",
    ),
    "history_compacted": ClassText(
        "history compacted or summarised",
        "a compacted history",
        "Compact rarely, and append the summary instead of putting it in place of the history.",
        "the messages that the summary replaces",
    ),
    "system_replaced": ClassText(
        "system prompt replaced",
        "a replaced {place}",
        "Keep one system prompt per conversation, and append instructions that change.",
        "the system prompt of the earlier request",
    ),
    "tools_replaced": ClassText(
        "tool definitions replaced",
        "a replacement of the {place}",
        "Send the same tools with each request of a conversation.",
        "the tools of the earlier request",
    ),
    "image": ClassText(
        "changed image or audio part",
        "a changed image or audio part in the {place}",
        "Send the same bytes for the same image or audio part.",
        "the part of the earlier request",
    ),
    "isolation": ClassText(
        "change of model, LoRA or cache salt",
        "a change of the {place}",
        "Send the requests of a conversation to one model and LoRA, with one cache salt.",
        "the model, LoRA and salt of the earlier request",
    ),
    "different_task": ClassText("different task, agent or branch", "a different task", "", ""),
    "unclassified": ClassText(
        "change of unknown kind",
        "a change of unknown kind in the {place}",
        "Compare the two texts, and keep one.",
        "",
    ),
}
"""Every class in the order in which the tables show them."""

VOLATILE: frozenset[BreakClass] = frozenset({"date_or_time", "id_or_number", "user_field"})
"""Classes of short texts that change in an otherwise equal message."""
