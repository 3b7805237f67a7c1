"""The break of each prompt: where it leaves the earlier request, and why."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from cachelab.explanation.break_class import BreakClass
from cachelab.explanation.difference import Difference
from cachelab.explanation.differences import differences
from cachelab.explanation.exchange import Exchange
from cachelab.explanation.finished_text import finished_differences
from cachelab.explanation.prompt_break import Break, Place
from cachelab.explanation.rendered import Rendered, Unit
from cachelab.message import Message
from cachelab.spans import TEMPLATE

MAX_TEXT = 400
"""Characters of a changed text that a break keeps."""

Decode = Callable[[Sequence[int]], str]

_SHOWN_TOKENS = 60
_MERGED = 4  # tokens at the end of a text that may be others since other text follows: "_" "." and "_.\n\n"


def all_differences(earlier: Exchange, now: Exchange, same_conversation: bool) -> list[Difference]:
    """The differences of two exchanges, of messages or of finished prompts."""
    compare = finished_differences if earlier.finished and now.finished else differences
    return compare(earlier, now, same_conversation=same_conversation)


def first_difference(
    found: Sequence[Difference], before: Rendered, now: Rendered, token: int, *, isolated: bool
) -> Difference | None:
    """The difference at which the prompt leaves the earlier request at `token`; None if it is in none of them.

    Then the messages there are equal, and the chat template shows them in another way.
    """
    if isolated:
        return next((one for one in found if one.kind == "isolation"), None)
    sources_now, sources_before = list(_sources(now, token)), list(_sources(before, token))
    if _at_end(now, token) or _at_end(before, token):
        sources_now.append(_next_source(now, token))
        sources_before.append(_next_source(before, token))
    for source_now, source_before in zip(sources_now, sources_before, strict=True):
        for one in found:
            if one.kind != "isolation" and (one.message_now == source_now or one.message_before == source_before):
                return one
    return None


def _sources(rendered: Rendered, token: int) -> tuple[int, int]:
    """The source of a token and, if that is the template, the unit behind it; None of both is -99."""
    source = rendered.source_at(token)
    if source != TEMPLATE:
        return source, source
    unit = _unit_behind(rendered, token)
    return -99, -99 if unit is None else unit.source


def _at_end(rendered: Rendered, token: int) -> bool:
    """Whether a token is among the last ones of a unit: they may be others since other text follows."""
    return any(unit.start <= token < unit.end <= token + _MERGED for unit in rendered.units)


def _next_source(rendered: Rendered, token: int) -> int:
    at = rendered.first_unit(token) + 1
    return rendered.units[at].source if at < len(rendered.units) else -99


def _unit_behind(rendered: Rendered, token: int) -> Unit | None:
    at = rendered.first_unit(token)
    return rendered.units[at] if at < len(rendered.units) else None


def template_difference(earlier: Exchange, before: Rendered, now: Rendered, token: int, decode: Decode) -> Difference:
    """The difference of two prompts whose messages are equal at the break: the template shows them in another way."""
    kind: BreakClass = "unclassified"
    messages = earlier.with_reply
    unit = _unit_behind(before, token)
    if unit is not None and 0 <= unit.source < len(messages) and _reasons(messages[unit.source]):
        kind = "reasoning"
    old, new = (
        decode(rendered.ids[token : min(token + _SHOWN_TOKENS, _end(rendered, token))].tolist())
        for rendered in (before, now)
    )
    left = decode(now.ids[max(token - 12, 0) : token].tolist())
    place = Place("template", "template", unit.source if unit is not None and unit.source >= 0 else None)
    return Difference(kind, place, -99, -99, old, new, left, "")


def _reasons(message: Message) -> bool:
    """Whether a message holds reasoning, apart from its text or in it, as models without a reasoning parser log it."""
    return message.role == "assistant" and (bool(message.reasoning) or "</think>" in message.text)


def _end(rendered: Rendered, token: int) -> int:
    unit = _unit_behind(rendered, token)
    return len(rendered.ids) if unit is None else unit.after


def as_break(
    one: Difference, token: int, earlier: str, earlier_turns: int | None, behind_tokens: int, *, show_text: bool
) -> Break:
    """The difference as the break of a prompt, its texts cut to MAX_TEXT characters."""
    found = Break(token, earlier, earlier_turns, one.kind, one.place, "", "", "", "", behind_tokens)
    if not show_text:
        return found
    return replace(found, before=_cut(one.before), after=_cut(one.after), left=one.left, right=one.right)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"
