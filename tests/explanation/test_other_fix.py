"""The second way to fix a cause: its hit rate is that of a log made by hand in that way, to the block."""

from copy import deepcopy
from pathlib import Path

import pytest

import cachelab
from cachelab.explanation import Cause
from cachelab.tokenizer.mistral import Mistral
from planted import PLANTED, Log, made_up, sharegpt, tau_bench

TOKENIZER = Mistral(image_tokens=40)
CHATS = made_up(conversations=4, turns=7)
TIME = "a time in the system message"


def only_cause(rows: Log) -> Cause:
    (cause,) = cachelab.explain(rows, tokenizer=TOKENIZER).causes
    return cause


def with_the_line_in_user_messages(planted: Log) -> Log:
    """The first row's line in every system message; each user message ends with the line of its first call."""
    rows, first = deepcopy(planted), planted[0]["messages"][0]["content"].partition("\n")[0]
    lines: dict[tuple[str, int], str] = {}
    for row in rows:
        messages = row["messages"]
        line, _, rest = messages[0]["content"].partition("\n")
        messages[0]["content"] = f"{first}\n{rest}"
        users = [at for at, message in enumerate(messages) if message["role"] == "user"]
        lines.setdefault((row["session_id"], users[-1]), "" if line == first else line)
        for at in users:
            if said := lines[row["session_id"], at]:
                messages[at]["content"] += f"\n{said}"
    return rows


def removed_in_steps(whole: Log) -> Log:
    """The whole log, of which the planted cause keeps 8 messages of history: here 4 stay when any has to go."""
    rows, dropped = deepcopy(whole), dict[str, int]()
    for row in rows:
        messages, session = row["messages"], row["session_id"]
        least = len(messages) - 9
        if least <= 0:
            continue
        if least > dropped.get(session, 0):
            wanted = range(1 + least + 4, len(messages))
            dropped[session] = next(at for at in [*wanted] if messages[at]["role"] == "user") - 1
        row["messages"] = [messages[0], *messages[1 + dropped[session] :]]
    return rows


def check_moved(name: str, rows: Log) -> None:
    planted, _ = PLANTED[name].plant(rows)
    cause = only_cause(planted)
    assert cause.other_fix == "with its line at the end of the user message with which it is sent"
    by_hand = cachelab.explain(with_the_line_in_user_messages(planted), tokenizer=TOKENIZER)
    assert cause.hit_rate_other_fix == by_hand.hit_rate
    assert cause.hit_rate_other_fix != cause.hit_rate_alone  # the prompts have other tokens


@pytest.mark.parametrize("name", [TIME, "a date in words", "a uuid", "a counter"])
def test_changing_line_moved_to_the_user_message(name: str) -> None:
    check_moved(name, CHATS)


def test_calls_of_one_user_message_share_its_line() -> None:
    """An agent calls tools between two user messages: the line is that of the first of these calls."""
    call = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "1", "function": {"name": "look", "arguments": "{}"}}],
    }
    result = {"role": "tool", "tool_call_id": "1", "content": "A long result of the tool. " * 8}
    rows: Log = []
    for chat in range(2):
        start = [{"role": "system", "content": "You help. " * 20}, {"role": "user", "content": f"Question {chat}?"}]
        answer = {"role": "assistant", "content": "Done."}
        rows.append({"session_id": str(chat), "messages": start, "response": call})
        rows.append({"session_id": str(chat), "messages": deepcopy([*start, call, result]), "response": answer})
    check_moved(TIME, rows)


def test_truncated_history_removed_in_steps() -> None:
    planted, whole = PLANTED["history truncated"].plant(CHATS)
    cause = only_cause(planted)
    by_hand = removed_in_steps(whole)
    assert max(len(row["messages"]) for row in by_hand) <= 9
    assert cause.hit_rate_other_fix == cachelab.explain(by_hand, tokenizer=TOKENIZER).hit_rate
    assert cause.other_fix.startswith("with half of the history that is left removed at once")
    points = cause.points_other_fix, cause.points_alone
    assert points[0] is not None
    assert points[1] is not None
    assert 0 < points[0] < points[1]


def test_cause_without_a_second_way_has_none() -> None:
    cause = only_cause(PLANTED["first message edited"].plant(CHATS)[0])
    assert (cause.other_fix, cause.hit_rate_other_fix, cause.points_other_fix) == ("", None, None)


@pytest.mark.slow
def test_line_moved_in_agent_traces(agent_traces: Path) -> None:
    check_moved(TIME, tau_bench(agent_traces / "tau_bench_airline_60.json", 8))


@pytest.mark.slow
def test_line_moved_in_chats_of_people(real_sharegpt: Path) -> None:
    check_moved(TIME, sharegpt(real_sharegpt, 40))
