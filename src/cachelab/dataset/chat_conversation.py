"""Turns rows that hold a whole conversation into the requests of that conversation."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from cachelab.dataset.chat_row import ChatRow
from cachelab.message import Message
from cachelab.turn import Turn


class ConversationRows:
    """The conversations of a log. Equal system messages of different rows share one object."""

    def __init__(self, counts: Counter[str]) -> None:
        self._counts = counts
        self._systems: dict[Message, Message] = {}
        self._read: list[tuple[str | None, tuple[Turn, ...], list[int | None]]] = []

    def add(self, row: ChatRow) -> None:
        """Add a conversation: one turn per assistant message, whose prompt is all messages before it.

        Messages after the last reply are dropped (`dropped_after_last_reply`). A reply that is the first message is no
        request, but is part of later prompts (`replies_without_prompt`). A row without a reply is left out
        (`conversations_without_reply`). The time of a turn is that of its newest message that has one, otherwise the
        time of the row.
        """
        messages = [self._shared(message) for message in (*row.messages, *([] if row.reply is None else [row.reply]))]
        turns: list[Turn] = []
        times: list[int | None] = []
        kept, time_ns = 0, row.time_ns
        for index, message in enumerate(messages):
            time_ns = row.times_ns.get(index, time_ns)
            if message.role != "assistant":
                continue
            if index == 0:
                self._counts["replies_without_prompt"] += 1
                continue
            usage = row.usage if index == len(row.messages) else None
            turns.append(
                Turn(
                    kept_messages=kept,
                    new_messages=tuple(messages[kept:index]),
                    reply=message,
                    tools=row.tools,
                    usage=row.usages.get(index, usage),
                    isolation=row.isolation,
                    fields=row.fields,
                )
            )
            times.append(time_ns)
            kept = index + 1
        self._counts["dropped_after_last_reply"] += len(messages) - kept
        if turns:
            self._read.append((row.id, tuple(turns), times))
        else:
            self._counts["conversations_without_reply"] += 1
        self._counts["missing_ids"] += bool(turns) and row.id is None

    def conversations(self) -> Iterator[tuple[str | None, tuple[Turn, ...]]]:
        """Id (None if the row has none) and turns of each conversation, in the order of the log."""
        start_ns = min((time for _, _, times in self._read for time in times if time is not None), default=0)
        for id, turns, times in self._read:
            seconds = [None if time is None else (time - start_ns) / 1e9 for time in times]
            yield id, tuple(replace(turn, timestamp_s=time) for turn, time in zip(turns, seconds, strict=True))

    def _shared(self, message: Message) -> Message:
        return self._systems.setdefault(message, message) if message.role in ("system", "developer") else message
