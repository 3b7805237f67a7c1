"""The differences between a prompt and an earlier prompt and its reply, each with its class and place."""

import json
from collections.abc import Iterator

from cachelab.explanation.break_class import VOLATILE, BreakClass
from cachelab.explanation.difference import Difference, IsolationEdit, ToolsEdit
from cachelab.explanation.exchange import Exchange
from cachelab.explanation.message_differences import MessageDifferences
from cachelab.explanation.prompt_break import Place
from cachelab.explanation.text_class import text_class
from cachelab.explanation.text_gap import around, end_gap, similar, text_gaps
from cachelab.message import Isolation, ToolDefinitions
from cachelab.spans import TOOLS


def differences(earlier: Exchange, now: Exchange, *, same_conversation: bool) -> list[Difference]:
    """What differs: isolation, tools, and the messages in the order of the prompt.

    Messages are aligned by a longest common subsequence of equal ones; between these, messages of one role that are
    similar (text_gap.similar) are pairs, whose texts are compared word by word. Messages after the end of the earlier
    ones are the next turn and no difference. For exchanges whose prompts are finished texts see finished_text.py.
    """
    found = list(_isolation(earlier.isolation, now.isolation))
    found += _tools(earlier.tools, now.tools, same_conversation)
    return found + MessageDifferences(earlier, now, same_conversation).found()


def _isolation(before: Isolation | None, now: Isolation | None) -> Iterator[Difference]:
    old, new = before or Isolation(), now or Isolation()
    for label, a, b in (
        ("model", old.model, new.model),
        ("LoRA", old.lora, new.lora),
        ("cache salt", old.cache_salt, new.cache_salt),
    ):
        if (a or None) != (b or None):
            undo = IsolationEdit(before)
            yield Difference("isolation", Place("isolation", label), -3, -3, a or "", b or "", undo=undo)


def _tools(before: ToolDefinitions, now: ToolDefinitions, same_conversation: bool) -> Iterator[Difference]:
    if before is now or (not before and not now):
        return
    old, new = (json.dumps(list(tools), ensure_ascii=False) for tools in (before, now))
    if old == new:
        return
    kind: BreakClass = "tools_replaced" if same_conversation else "different_task"
    first = end_gap(old, new)
    if _sorted(before) == _sorted(now):
        kind = "order"
    elif len(before) == len(now) and similar(old, new):
        found = text_gaps(old, new)
        kinds = {text_class(old, new, gap, False) for gap in found}
        if len(kinds) == 1 and (only := kinds.pop()) in VOLATILE and only is not None:
            kind, first = only, found[0]
    place = Place("tools", "tool definitions", role="tools", start=first.start_now, end=first.end_now)
    yield Difference(
        kind, place, TOOLS, TOOLS, old[first.start_before : first.end_before], new[first.start_now : first.end_now],
        *around(new, first.start_now, first.end_now), None if kind == "different_task" else ToolsEdit(before),
    )  # fmt: skip


def _sorted(tools: ToolDefinitions) -> list[str]:
    return sorted(json.dumps(tool, sort_keys=True) for tool in tools)
