"""A workload with causes undone: the exchanges of its requests, rewritten."""

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace

from cachelab.explanation.analysis import Analysis
from cachelab.explanation.break_class import BreakClass
from cachelab.explanation.common_subsequence import common_start
from cachelab.explanation.difference import Edit, MessagesEdit, TextEdit, edited, field_text
from cachelab.explanation.differences import differences
from cachelab.explanation.exchange import Exchange
from cachelab.explanation.finished_text import undone as finished_undone
from cachelab.explanation.text_gap import around

Key = tuple[BreakClass, str]
"""A cause: class and place."""

KEPT_BY_TEMPLATE: Key = ("reasoning", "template")
"""The cause that is undone in the tokens: the chat template drops the reasoning that the messages hold."""

_OF_REPLIES = ("reply_missing", "reply_rewritten", "reasoning")
_MAX_LINE = 200  # characters around a changed text


@dataclass(frozen=True, slots=True, eq=False)
class Undone:
    """An exchange with differences undone.

    `exchange`: with the text of the earlier exchange. `lines`: what was sent instead, (message, line that holds the
    changed text). `restored`: the messages that were put back into the prompt, with their place.
    """

    exchange: Exchange
    lines: Sequence[tuple[int, str]] = ()
    restored: Sequence[MessagesEdit] = ()


def undone_exchanges(analysis: Analysis, keys: Set[Key]) -> Sequence[Undone]:
    """The exchanges with the differences of these causes undone, each against its earlier exchange, undone before it.

    So a text that changes has its first value everywhere. Replies that came after the earlier exchange are undone
    against the latest exchange of the conversation. In the order of the analysis.
    """
    found: list[Undone] = []
    latest: dict[str, int] = {}
    of_replies = {key for key in keys if key[0] in _OF_REPLIES}
    for index, (now, one) in enumerate(zip(analysis.exchanges, analysis.compared, strict=True)):
        origin = one.undone_from
        conversation = analysis.explained[index].conversation_id
        last = latest.get(conversation)
        latest[conversation] = index
        if origin is None:
            found.append(Undone(now))
            continue
        before, earlier = found[origin], analysis.exchanges[origin]
        if one.token is None and one.own is None and before.exchange is earlier:
            found.append(Undone(now))
        elif now.finished:
            found.append(Undone(finished_undone(earlier, before.exchange, now, frozenset(keys))))
        else:
            own = analysis.explained[origin].conversation_id == conversation
            undone = _undone(now, earlier, before, keys, same_conversation=own)
            if of_replies and last not in (None, origin):
                assert last is not None
                again = _undone(undone.exchange, found[last].exchange, found[last], of_replies, same_conversation=True)
                undone = replace(undone, exchange=again.exchange)
            found.append(undone)
    return found


def _undone(now: Exchange, earlier: Exchange, before: Undone, keys: Set[Key], *, same_conversation: bool) -> Undone:
    """The exchange against an earlier one; `before` is the earlier one undone."""
    now, same = _like_earlier(now, earlier, before.exchange)
    lines = [(message, line) for message, line in before.lines if message < same]
    edits: list[Edit] = []
    for one in differences(before.exchange, now, same_conversation=same_conversation):
        if one.key not in keys or one.undo is None:
            continue
        edits.append(one.undo)
        if isinstance(one.undo, TextEdit):
            line = _line(field_text(now.messages[one.undo.message], one.undo.field), one.undo.start, one.undo.end)
            lines.append((one.undo.message, line))
    restored = [edit for edit in edits if isinstance(edit, MessagesEdit)]
    return Undone(edited(now, edits) if edits else now, list(dict.fromkeys(lines)), restored)


def _line(text: str, start: int, end: int) -> str:
    """The line that holds these characters, or only as much of it as is shown around a change if it is long."""
    left, _, right = text[:start].rpartition("\n")[2], text[start:end], text[end:].partition("\n")[0]
    if len(left) + len(right) > _MAX_LINE:
        left, right = around(text, start, end)
    return f"{left}{text[start:end]}{right}".strip()


def _like_earlier(now: Exchange, earlier: Exchange, fixed: Exchange) -> tuple[Exchange, int]:
    """The exchange, where it begins as the earlier one did, as that is now that it is fixed.

    And how many of its messages are taken from that.
    """
    if earlier is fixed:
        return now, 0
    tools = fixed.tools if repr(now.tools) == repr(earlier.tools) else now.tools
    isolation = fixed.isolation if now.isolation == earlier.isolation else now.isolation
    same = 0
    if len(fixed.messages) == len(earlier.messages):
        same = common_start(now.messages, earlier.messages)
    return replace(now, messages=(*fixed.messages[:same], *now.messages[same:]), tools=tools, isolation=isolation), same
