"""A second way to fix a cause: changing text moved to where it breaks nothing, or the history cut in steps."""

from collections.abc import Sequence
from dataclasses import replace

from cachelab.explanation.break_class import VOLATILE
from cachelab.explanation.exchange import Exchange
from cachelab.explanation.undo import Key, Undone
from cachelab.message import Message, Part


def other_fix(key: Key, turns: Sequence[Undone]) -> Sequence[Exchange] | None:
    """The turns of one conversation with the cause fixed in its second way; None if no turn has anything to change.

    The turns have the cause undone, and are in their order.

    - Changing text (a date or time, an id, a user's field): the first value stays where it was. The line that holds the
      changed text stands at the end of the user message with which it was first sent, and stays there in the history.
    - Truncated history: when more than before has to go, half of the messages that the log kept go too, up to the next
      user message. So a prompt is never longer than the one in the log.
    """
    if key[0] in VOLATILE and any(turn.lines for turn in turns):
        return _moved(turns)
    if key[0] == "history_truncated" and any(turn.restored for turn in turns):
        return _in_steps(turns)
    return None


def _moved(turns: Sequence[Undone]) -> list[Exchange]:
    said: list[tuple[Message, str]] = []  # the user messages so far, and what each one got
    found: list[Exchange] = []
    for turn in turns:
        messages, known = list(turn.exchange.messages), 0
        users = [at for at, message in enumerate(messages) if message.role == "user"]
        for at in users:
            message = messages[at]
            place = next((place for place in range(known, len(said)) if said[place][0] == message), None)
            if place is None:
                text = "\n".join(dict.fromkeys(line for _, line in turn.lines)) if at == users[-1] else ""
                place = len(said)
                said.append((message, text))
            known = place + 1
            messages[at] = _with_end(message, said[place][1])
        found.append(replace(turn.exchange, messages=tuple(messages)))
    return found


def _with_end(message: Message, text: str) -> Message:
    if not text:
        return message
    if isinstance(message.content, tuple):
        return replace(message, content=(*message.content, Part("text", f"\n{text}")))
    return replace(message, content=f"{message.text}\n{text}")


def _in_steps(turns: Sequence[Undone]) -> list[Exchange]:
    dropped = 0
    found: list[Exchange] = []
    for turn in turns:
        messages = turn.exchange.messages
        least = sum(len(edit.messages) - (edit.end - edit.start) for edit in turn.restored)
        if not least:
            dropped = 0
            found.append(turn.exchange)
            continue
        head = turn.restored[0].start
        if least > dropped:
            dropped = least + (len(messages) - head - least) // 2
            users = [at - head for at in range(head + least, len(messages)) if messages[at].role == "user"]
            dropped = next((at for at in users if at >= dropped), users[-1] if users else least)
        found.append(replace(turn.exchange, messages=(*messages[:head], *messages[head + dropped :])))
    return found
