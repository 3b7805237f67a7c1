"""The differences between the messages of a prompt and those of an earlier prompt and its reply."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cachelab.explanation.break_class import BreakClass
from cachelab.explanation.common_subsequence import Pairs, common_start, common_subsequence, gaps
from cachelab.explanation.difference import (
    Difference,
    Edit,
    Field,
    MessagesEdit,
    TextEdit,
    field_text,
    fields_of,
    same_shape,
)
from cachelab.explanation.exchange import Exchange
from cachelab.explanation.gap_classes import gap_classes
from cachelab.explanation.prompt_break import Place
from cachelab.explanation.text_gap import TextGap, around, same_words, similar, similar_words
from cachelab.message import Message

SYSTEM = ("system", "developer")
_SUMMARY = re.compile(
    r"\bsummar(?:y|i[sz]ed?|ies)\b|\bcompact(?:ed|ion)\b|\bcondensed\b|\bconversation so far\b|"
    r"\b(?:earlier|previous) (?:conversation|messages|context)\b|\bcontinued from\b",
    re.IGNORECASE,
)
_SUMMARY_WITHIN = 400  # characters of a message in which it says that it is a summary


def label_of(messages: Sequence[Message], index: int) -> str:
    """The place of a message in words."""
    role = messages[index].role
    if role in SYSTEM:
        return f"{role} message"
    if role == "user":
        first = next(at for at, message in enumerate(messages) if message.role == "user")
        return "first user message" if index == first else "user message"
    return "reply" if role == "assistant" else "tool result"


@dataclass(frozen=True, slots=True)
class _Run:
    """Messages that have no counterpart: from a up to b of the earlier ones, from c up to d of the prompt's.

    `later`: whether messages after them are aligned.
    """

    a: int
    b: int
    c: int
    d: int
    later: bool


class MessageDifferences:
    """Compares the messages of two exchanges."""

    def __init__(self, earlier: Exchange, now: Exchange, same_conversation: bool) -> None:
        self._before, self._now = earlier.with_reply, now.messages
        self._reply = len(earlier.messages) if earlier.reply is not None else -1
        self._own = same_conversation

    def found(self) -> list[Difference]:
        before, now = self._before, self._now
        if now[: len(before)] == before:
            return []
        same = _aligned(before, now)
        aligned = [(i, j, True) for i, j in same]
        for a, b, c, d in gaps(same, len(before), len(now)):
            aligned += [(i, j, False) for i, j in self._pairs(a, b, c, d)]
        aligned.sort()
        found: list[Difference] = []
        at_a = at_c = 0
        for i, j, equal in [*aligned, (len(before), len(now), True)]:
            if i > at_a or j > at_c:
                found += self._run(_Run(at_a, i, at_c, j, later=i < len(before)))
            if not equal:
                found += self._pair(i, j)
            at_a, at_c = i + 1, j + 1
        return found

    def _pairs(self, a: int, b: int, c: int, d: int) -> Iterator[tuple[int, int]]:
        """Similar messages of one role, in their order; of another conversation only those that begin it."""
        at = a
        for j in range(c, d):
            if not self._own and not _begins(self._now, j):
                return
            for i in range(at, b):
                if not self._own and not _begins(self._before, i):
                    break
                if self._before[i].role == self._now[j].role and _alike(self._before[i], self._now[j]):
                    yield i, j
                    at = i + 1
                    break

    def _run(self, run: _Run) -> Iterator[Difference]:
        """The difference that messages without a counterpart make."""
        before, now = self._before[run.a : run.b], self._now[run.c : run.d]
        if (run.a == len(self._before)) or (not now and run.b == len(self._before)):
            return  # the next turn; or the prompt ends here, within the earlier one
        kind = self._kind(run, before, now)
        undone: dict[BreakClass, Edit] = {"reply_missing": MessagesEdit(run.c, run.c, before)}
        if kind == "reply_rewritten" and not run.later:
            undone[kind] = MessagesEdit(run.c, run.c + 1, before)
        if kind == "history_compacted" and not run.later:
            undone[kind] = MessagesEdit(run.c, run.c + _summary_end(now), before)
        undo = None if kind == "different_task" else undone.get(kind, MessagesEdit(run.c, run.d, before))
        messages, index = (self._before, run.a) if before else (self._now, run.c)
        label = "history" if kind in ("history_truncated", "history_compacted") else label_of(messages, index)
        place = Place("message", label, run.c if now else run.a, messages[index].role)
        yield Difference(kind, place, run.a, run.c, _text(before), _text(now), undo=undo)

    def _kind(self, run: _Run, before: Sequence[Message], now: Sequence[Message]) -> BreakClass:
        if not before:
            return "message_edited" if self._own else "different_task"  # a message put into the history
        if not self._own:
            return "different_task"
        roles, in_system = {message.role for message in before}, before[0].role in SYSTEM
        if not run.later:
            if run.a == self._reply:
                return "reply_rewritten" if now[0].role == "assistant" else "reply_missing"
            return "history_compacted" if _summary_at(now) is not None and not in_system else "different_task"
        if not now:
            return "reply_missing" if roles == {"assistant"} and len(before) == 1 else "history_truncated"
        if in_system and now[0].role in SYSTEM and len(before) == len(now) == 1:
            return "system_replaced"
        if len(now) < len(before):
            return "history_compacted"
        if roles == {"assistant"} == {message.role for message in now}:
            return "reply_rewritten"
        return "message_edited"

    def _pair(self, i: int, j: int) -> Iterator[Difference]:
        """The differences of two messages of one role."""
        before, now = self._before[i], self._now[j]
        label = label_of(self._before, i)
        reply = now.role == "assistant"
        if not same_shape(before, now):
            kind: BreakClass = "reply_rewritten" if reply else "message_edited"
            if _media(before) != _media(now):
                kind = "image"
            place = Place("message", label, j, now.role)
            yield Difference(kind, place, i, j, before.full_text, now.full_text, undo=MessagesEdit(j, j + 1, (before,)))
            return
        task_text = not self._own and now.role not in SYSTEM
        for field in fields_of(now):
            old, new = field_text(before, field), field_text(now, field)
            if old == new:
                continue
            if field[0] in ("call_id", "result_id"):
                classes: list[tuple[TextGap, BreakClass]] = [(TextGap(0, len(old), 0, len(new)), "id_or_number")]
            elif field[0] == "reasoning":
                classes = [(TextGap(0, len(old), 0, len(new)), "reasoning")]
            else:
                rest = self._rest(now)
                classes = gap_classes(old, new, rest, task_text=task_text, system=now.role in SYSTEM)
            for gap, kind in classes:
                yield _text_difference(kind, label, now.role, i, j, field, old, new, gap)

    def _rest(self, now: Message) -> BreakClass:
        """The class of a changed text that has no other."""
        if now.role == "assistant":
            return "reply_rewritten"
        if not self._own:
            return "unclassified"
        return "system_replaced" if now.role in SYSTEM else "message_edited"


def _text_difference(
    kind: BreakClass, label: str, role: str, i: int, j: int, field: Field, old: str, new: str, gap: TextGap
) -> Difference:
    a, b, c, d = gap.start_before, gap.end_before, gap.start_now, gap.end_now
    undo = None if kind == "unclassified" else TextEdit(j, field, c, d, old[a:b])
    place = Place("message", label, j, role, c, d)
    return Difference(kind, place, i, j, old[a:b], new[c:d], *around(new, c, d), undo)


def _alike(before: Message, now: Message) -> bool:
    """Whether two messages of one role are versions of one message."""
    if before.tool_calls or now.tool_calls:
        names = [[call.name for call in message.tool_calls] for message in (before, now)]
        if names[0] == names[1]:
            arguments = ["\n".join(call.arguments for call in message.tool_calls) for message in (before, now)]
            return similar(before.text + arguments[0], now.text + arguments[1])
    if _media(before) and len(_media(before)) == len(_media(now)) and before.text == now.text:
        return True
    old, new = before.text, now.text
    if not old.strip() or not new.strip():
        return not old.strip() and not new.strip()
    if before.role in SYSTEM and similar_words(old, new):
        return True  # its parts may change their order and their text at once
    return similar(old, new) or same_words([old], [new])


def _aligned(before: Sequence[Message], now: Sequence[Message]) -> Pairs:
    """Equal messages of both.

    Of several that are equal the last ones, since a history is cut at its front; but the first ones, if fewer messages
    of the prompt are then put between the others: a user may say "Continue." after each reply.
    """
    head = common_start(before, now)
    last = common_subsequence(before[head:][::-1], now[head:][::-1])
    backwards = [(len(before) - 1 - i, len(now) - 1 - j) for i, j in reversed(last)]
    forwards = [(head + i, head + j) for i, j in common_subsequence(before[head:], now[head:])]
    rest = min(backwards, forwards, key=lambda pairs: pairs[-1][1] - len(pairs) if pairs else 0)
    return [*((at, at) for at in range(head)), *rest]


def _summary_at(messages: Sequence[Message]) -> int | None:
    """The place of a summary among the first two messages."""
    return next((at for at, one in enumerate(messages[:2]) if _SUMMARY.search(one.text[:_SUMMARY_WITHIN])), None)


def _summary_end(messages: Sequence[Message]) -> int:
    """How many messages a summary at their start takes: what follows is the next turn, which stays in the prompt.

    0 if nothing follows: the summary may hold the new question, so it stays too.
    """
    end = (_summary_at(messages) or 0) + 1
    return end if end < len(messages) else 0


def _begins(messages: Sequence[Message], index: int) -> bool:
    """Whether a message is a system message or the first user message, with system messages alone before it."""
    return all(message.role in SYSTEM for message in messages[:index]) and messages[index].role in (*SYSTEM, "user")


def _media(message: Message) -> list[str]:
    return (
        [part.digest for part in message.content if part.kind != "text"] if isinstance(message.content, tuple) else []
    )


def _text(messages: Sequence[Message]) -> str:
    return "\n\n".join(message.full_text for message in messages)
