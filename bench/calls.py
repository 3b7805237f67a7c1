"""Measures how the cost of reading API calls, and of a test of their prefixes, grows with the number of calls.

    python bench/calls.py

Part 1 groups calls of 3,001 messages each into conversations. Part 2 is `cachelab.testing.assert_stable_prefix` on
chats of 5 calls with a time in front of the system message, after one such test has loaded the vocabulary and the
compiled loops. Seconds are CPU seconds, the least of three. The exponent compares a row with the one before it: 1 is
linear.
"""

import math
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

RULES = "You are a support agent. " + "Be polite, short and exact in every answer that you give. " * 40


def main() -> None:
    """Print both tables."""
    print(f"{'':32}{'calls':>8}{'CPU s':>9}{'exponent':>10}")
    table("grouped into conversations", group, [long_calls(number) for number in (10, 20, 40, 80)])
    check(chats(10))
    table("assert_stable_prefix", check, [chats(number) for number in (50, 100, 200, 400)])


def table(name: str, work: Callable[[list[dict[str, Any]]], None], workloads: list[list[dict[str, Any]]]) -> None:
    """A row for each workload."""
    before: tuple[int, float] | None = None
    for calls in workloads:
        seconds = min(cpu_seconds(work, calls) for _ in range(3))
        exponent = ""
        if before is not None:
            exponent = f"{math.log(seconds / before[1]) / math.log(len(calls) / before[0]):.2f}"
        print(f"{name:32}{len(calls):8,}{seconds:9.2f}{exponent:>10}")
        before = len(calls), seconds


def cpu_seconds(work: Callable[[list[dict[str, Any]]], None], calls: list[dict[str, Any]]) -> float:
    """CPU seconds of this process."""
    started = time.process_time()
    work(calls)
    return time.process_time() - started


def long_calls(number: int) -> list[dict[str, Any]]:
    """Calls that differ in their system message; the 3,000 messages after it are the same."""
    talk = [{"role": "user" if index % 2 else "tool", "content": f"{index}"} for index in range(3000)]
    return [{"messages": [{"role": "system", "content": f"{index}"}, *talk]} for index in range(number)]


def chats(number: int) -> list[dict[str, Any]]:
    """Calls of chats with 5 turns; the time in the system message changes with every call."""
    calls: list[dict[str, Any]] = []
    history: list[dict[str, str]] = []
    for index in range(number):
        if index % 5 == 0:
            history = []
        history.append({"role": "user", "content": f"Where is order {index}?"})
        system = {"role": "system", "content": f"It is 10:{index % 60:02d}.\n{RULES}"}
        calls.append({"messages": [system, *history]})
        history.append({"role": "assistant", "content": f"Order {index} arrives tomorrow."})
    return calls


def group(calls: list[dict[str, Any]]) -> None:
    """Read the calls as a chat log is read."""
    from cachelab.dataset.chat import COUNTS, Chat, ChatLog

    reader = ChatLog(Chat(path="calls"), Counter(dict.fromkeys(COUNTS, 0)))
    conversations = list(reader.read((f"calls: line {index}", call) for index, call in enumerate(calls, start=1)))
    if len(conversations) != len(calls):
        raise RuntimeError(f"{len(calls)} calls became {len(conversations)} conversations")


def check(calls: list[dict[str, Any]]) -> None:
    """A test of the prefixes that fails, as it has to."""
    from cachelab.testing import assert_stable_prefix

    try:
        assert_stable_prefix(calls)
    except AssertionError:
        return
    raise RuntimeError("the time in the system message was not found")


if __name__ == "__main__":
    main()
