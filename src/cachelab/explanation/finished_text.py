"""The differences between a finished prompt and an earlier one and its reply: texts without messages."""

from dataclasses import replace

from cachelab.explanation.break_class import BreakClass
from cachelab.explanation.difference import Difference, TextEdit
from cachelab.explanation.exchange import Exchange
from cachelab.explanation.prompt_break import Place
from cachelab.explanation.text_class import text_class
from cachelab.explanation.text_gap import similar, text_gaps
from cachelab.tokenizer.pieces import common_length

_LABEL = "finished prompt"
_AROUND = 40
_REPLY_WITHIN = 80
"""Characters that may stand between an earlier prompt and its reply in the next prompt, such as a speaker's name."""


def finished_differences(earlier: Exchange, now: Exchange, *, same_conversation: bool) -> list[Difference]:
    """What differs between two finished prompts, in the order of the text.

    Where the prompt leaves the earlier one exactly at its end, the reply is missing, or it is there after other text.
    Other prompts are compared word by word if they are similar. A deletion of whole lines is a truncated history.
    """
    old, new = _text(earlier), _text(now)
    reply = earlier.reply.text if earlier.reply is not None else ""
    head = common_length(old + reply, new)
    if head >= min(len(old + reply), len(new)):
        return []
    if head >= len(old) and same_conversation:
        rest = new[len(old) :]
        wanted = reply.strip()
        at = rest.find(wanted, 0, len(wanted) + _REPLY_WITHIN) if wanted else -1
        kind: BreakClass = "reply_missing" if at < 0 else "reply_rewritten"
        end = len(old) if at < 0 else len(old) + at + len(wanted)
        return [_difference(kind, old + reply, new, (len(old), len(old + reply), len(old), end), "reply")]
    if not similar(old, new) and not (same_conversation and _ends_alike(old, new)):
        return [_difference("different_task", old, new, (head, len(old), head, len(new)), _LABEL, undone=False)]
    found: list[Difference] = []
    for gap in text_gaps(old, new):
        a, b, c, d = gap.start_before, gap.end_before, gap.start_now, gap.end_now
        if a == len(old):
            continue  # the next turn
        kind = text_class(old, new, gap, not same_conversation) or "unclassified"
        if kind == "unclassified" and same_conversation and not new[c:d].strip() and "\n" in old[a:b] and b < len(old):
            kind = "history_truncated"
        found.append(_difference(kind, old, new, (a, b, c, d), _LABEL, undone=kind != "unclassified"))
    return found


def undone(earlier: Exchange, fixed: Exchange, now: Exchange, keys: frozenset[tuple[BreakClass, str]]) -> Exchange:
    """The exchange with the differences of these keys undone; `fixed` is the earlier exchange with them undone."""
    old, new, reply = _text(earlier), _text(now), earlier.reply.text if earlier.reply is not None else ""
    if new.startswith(old + reply):
        return _with_text(now, _text(fixed) + new[len(old) :])
    found = finished_differences(earlier, now, same_conversation=True)
    if len(found) == 1 and found[0].kind in ("reply_missing", "reply_rewritten"):
        edit = found[0].undo
        if found[0].key in keys and isinstance(edit, TextEdit):
            return _with_text(now, _text(fixed) + edit.text + new[edit.end :])
        return _with_text(now, _text(fixed) + new[len(old) :])
    edits = [
        one.undo
        for one in finished_differences(fixed, now, same_conversation=True)
        if one.key in keys and isinstance(one.undo, TextEdit)
    ]
    for edit in reversed(edits):
        new = new[: edit.start] + edit.text + new[edit.end :]
    return _with_text(now, new)


def _difference(
    kind: BreakClass, old: str, new: str, places: tuple[int, int, int, int], label: str, *, undone: bool = True
) -> Difference:
    a, b, c, d = places
    place = Place("message", label, 0, "user", c, d)
    around = new[max(c - _AROUND, 0) : c], new[d : d + _AROUND]
    undo = TextEdit(0, ("content", 0), c, d, old[a:b]) if undone else None
    return Difference(kind, place, 0, 0, old[a:b], new[c:d], *around, undo)


def _text(exchange: Exchange) -> str:
    return exchange.messages[0].text


def _with_text(exchange: Exchange, text: str) -> Exchange:
    return replace(exchange, messages=(replace(exchange.messages[0], content=text),))


def _ends_alike(old: str, new: str) -> bool:
    """Whether the last lines of the earlier prompt are in the prompt, as after a truncation at the front."""
    tail = old[-200:]
    return len(tail) == 200 and tail in new
