"""Groups API calls into conversations: by the id of their rows, otherwise by the earlier call that a call extends.

Distinct messages are numbered. Each prefix of a prompt is a node of a tree, found by (parent node, message number).
The grouping is exact, and its time is linear in the number of messages.
"""

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from cachelab.dataset.chat_row import ChatRow
from cachelab.message import Isolation, LoggedUsage, Message, ToolDefinitions
from cachelab.turn import Turn


@dataclass(slots=True, eq=False)
class _Call:
    """One call; `messages` and `reply` are numbers of messages."""

    messages: "array[int]"
    reply: int | None
    conversation_id: str | None
    time_ns: int | None
    ended_ns: int | None
    tools: ToolDefinitions
    usage: LoggedUsage | None
    isolation: Isolation | None
    fields: Mapping[str, str]
    continued: bool = False


class Calls:
    """The calls of a log. Memory: each distinct message once, and four bytes per message of each prompt."""

    def __init__(self, counts: Counter[str]) -> None:
        self._counts = counts
        self._numbers: dict[Message, int] = {}
        self._messages: list[Message] = []
        self._calls: list[_Call] = []
        self._no_response = True

    def add(self, row: ChatRow) -> None:
        """Add a call."""
        numbers = array("I", [self._number(message) for message in row.messages])
        reply = None if row.reply is None else self._number(row.reply)
        times = row.time_ns, row.ended_ns
        self._calls.append(
            _Call(numbers, reply, row.conversation_id, *times, row.tools, row.usage, row.isolation, row.fields)
        )
        self._no_response = self._no_response and not row.has_response

    def conversations(self) -> Iterator[tuple[str | None, tuple[Turn, ...]]]:
        """Id (None if the log has none) and turns of each conversation, in the order of their first calls.

        Calls are sorted by time if all of them have one; otherwise they keep the order of the log. If no row has a
        response and all rows end with an assistant message, that message is the reply (`replies_in_messages`).
        """
        ends = (call.messages[-1] for call in self._calls if len(call.messages) > 1)
        if self._no_response and sum(self._messages[end].role == "assistant" for end in ends) == len(self._calls):
            for call in self._calls:
                call.reply = call.messages.pop()
            self._counts["replies_in_messages"] = len(self._calls)
        times = [call.time_ns for call in self._calls if call.time_ns is not None]
        if len(times) == len(self._calls):
            before = list(self._calls)
            self._calls.sort(key=lambda call: call.time_ns or 0)
            self._counts["reordered_calls"] = sum(a is not b for a, b in zip(before, self._calls, strict=True))
        start_ns = min(times, default=0)
        for calls in self._grouped():
            self._take_replies(calls)
            yield calls[0].conversation_id, self._turns(calls, start_ns)

    def _number(self, message: Message) -> int:
        number = self._numbers.setdefault(message, len(self._messages))
        if number == len(self._messages):
            self._messages.append(message)
        return number

    def _grouped(self) -> list[list[_Call]]:
        groups: list[list[_Call]] = []
        by_id: dict[str, list[_Call]] = {}
        by_call: dict[_Call, list[_Call]] = {}
        prefixes = _Prefixes(self._counts)
        for call in self._calls:
            if (id := call.conversation_id) is not None:
                group = by_id.setdefault(id, [])
            else:
                earlier = prefixes.extended_by(call)
                group = by_call[call] = [] if earlier is None else by_call[earlier]
            if not group:
                groups.append(group)
            group.append(call)
        self._counts["missing_ids"] += len(by_call) if by_id else 0
        return groups

    def _take_replies(self, calls: list[_Call]) -> None:
        """Take a missing reply from the prompt of the next call, if that prompt extends the call's own prompt."""
        for call, following in pairwise(calls):
            end = len(call.messages)
            if call.reply is None and len(following.messages) > end and following.messages[:end] == call.messages:
                number = following.messages[end]
                if self._messages[number].role == "assistant":
                    call.reply = number
                    self._counts["replies_from_next_call"] += 1

    def _turns(self, calls: list[_Call], start_ns: int) -> tuple[Turn, ...]:
        turns: list[Turn] = []
        context: list[int] = []
        for before, call in zip((None, *calls), calls, strict=False):
            kept = 0
            for a, b in zip(context, call.messages, strict=False):
                if a != b:
                    break
                kept += 1
            turns.append(
                Turn(
                    kept_messages=kept,
                    new_messages=tuple(self._messages[number] for number in call.messages[kept:]),
                    reply=None if call.reply is None else self._messages[call.reply],
                    tools=call.tools,
                    timestamp_s=None if call.time_ns is None else (call.time_ns - start_ns) / 1e9,
                    think_s=self._think_s(before, call),
                    usage=call.usage,
                    isolation=call.isolation,
                    fields=call.fields,
                )
            )
            context = [*call.messages, *([] if call.reply is None else [call.reply])]
        return tuple(turns)

    def _think_s(self, before: _Call | None, call: _Call) -> float | None:
        """Seconds from the end of the call before to the start of this one; None if unknown, or if they overlap."""
        if before is None or before.ended_ns is None or call.time_ns is None:
            return None
        if call.time_ns < before.ended_ns:
            self._counts["overlapping_calls"] += 1
            return None
        return (call.time_ns - before.ended_ns) / 1e9


class _Prefixes:
    """The tree of the prefixes of all prompts, with the calls that can be continued at each node."""

    def __init__(self, counts: Counter[str]) -> None:
        self._counts = counts
        self._nodes: dict[tuple[int, int], int] = {}
        self._prompts: dict[int, list[_Call]] = {}
        self._replies: dict[int, list[_Call]] = {}

    def extended_by(self, call: _Call) -> _Call | None:
        """The earlier call whose next turn is this call; None if this call starts a conversation.

        It is the call whose prompt and reply, or whose prompt alone, is the longest prefix of this prompt. Of several
        such calls it is the last one that no call has continued. If all of them have been continued, this call is a
        branch and starts a conversation.
        """
        path = [0]
        for number in call.messages:
            path.append(self._node(path[-1], number))
        earlier = None
        for depth in range(len(path) - 1, 0, -1):
            same_prompt = depth == len(path) - 1  # the same prompt again, not a continuation
            ends = [self._replies.get(path[depth]), None if same_prompt else self._prompts.get(path[depth])]
            known = [calls for calls in ends if calls is not None]
            if known:
                earlier = next((open_call for calls in known if (open_call := _last_open(calls))), None)
                self._counts["branches"] += earlier is None
                break
        self._counts["repeated_prompts"] += path[-1] in self._prompts
        self._prompts.setdefault(path[-1], []).append(call)
        if call.reply is not None:
            self._replies.setdefault(self._node(path[-1], call.reply), []).append(call)
        if earlier is not None:
            earlier.continued = True
        return earlier

    def _node(self, before: int, number: int) -> int:
        return self._nodes.setdefault((before, number), len(self._nodes) + 1)


def _last_open(calls: list[_Call]) -> _Call | None:
    while calls and calls[-1].continued:
        calls.pop()
    return calls[-1] if calls else None
