"""MultiTurn and SingleTurn: the same requests, with and without their history."""

import numpy as np
import pytest

from cachelab.errors import ConfigError
from cachelab.message import Message
from cachelab.tokenized_conversation import TokenizedConversation, TokenizedTurn
from cachelab.tokens import TokenIds
from cachelab.trace.multi_turn import MultiTurn
from cachelab.trace.single_turn import SingleTurn
from cachelab.turn import RecordedTurn, Turn


def ids(*values: int) -> TokenIds:
    return np.array(values, dtype=np.int32)


KIND, HELLO, MORE, BYE = Message("system", "be kind"), *(Message("user", text) for text in ("hello", "more", "bye"))
HI, NOTHING, SEE_YOU = (Message("assistant", text) for text in ("hi", "", "see you"))
CHAT = TokenizedConversation(
    "chat",
    (
        TokenizedTurn(0, ids(1, 7, 20), ids(30, 2), ids(1, 7, 20), source=Turn(0, (KIND, HELLO), HI)),
        TokenizedTurn(5, ids(21, 22), ids(2), ids(1, 7, 21, 22), source=Turn(3, (MORE,), NOTHING)),
        TokenizedTurn(8, ids(23), ids(31, 32, 2), ids(1, 7, 23), source=Turn(5, (BYE,), SEE_YOU)),
    ),
)
A, C = Message("user", "a"), Message("user", "c")
B, D = Message("assistant", "b"), Message("assistant", "d")
BROKEN = TokenizedConversation(
    "broken",
    (
        TokenizedTurn(0, ids(1, 20), ids(30, 2), ids(1, 20), source=Turn(0, (A,), B)),
        TokenizedTurn(1, ids(9, 9), ids(2), ids(1, 9), source=Turn(2, (C,), D)),
    ),
)


def recorded(*turns: tuple[str, str, float]) -> TokenizedConversation:
    """A trace file's conversation, a token a character."""
    made, context = [], ""
    for prompt, reply, timestamp_s in turns:
        kept = len(context) if prompt.startswith(context) else 0
        new, answer = ids(*map(ord, prompt[kept:])), ids(*map(ord, reply))
        turn = RecordedTurn(prompt, reply, timestamp_s)
        made.append(TokenizedTurn(kept, new, answer, source=turn, timestamp_s=timestamp_s))
        context = prompt + reply
    return TokenizedConversation("rec", tuple(made))


def test_multi_turn_prompts_hold_the_history() -> None:
    requests = MultiTurn().build([CHAT]).requests
    assert [request.prompt_ids.tolist() for request in requests] == [
        [1, 7, 20],
        [1, 7, 20, 30, 2, 21, 22],
        [1, 7, 20, 30, 2, 21, 22, 2, 23],
    ]
    assert [request.reply_ids.tolist() for request in requests] == [[30, 2], [2], [31, 32, 2]]
    assert [request.kept_tokens for request in requests] == [0, 5, 8]
    assert [request.messages for request in requests] == [
        (KIND, HELLO),
        (KIND, HELLO, HI, MORE),
        (KIND, HELLO, HI, MORE, NOTHING, BYE),
    ]
    assert [request.follows for request in requests] == [None, "chat/0", "chat/1"]


def test_single_turn_prompts_hold_the_message_alone() -> None:
    requests = SingleTurn().build([CHAT]).requests
    assert [request.prompt_ids.tolist() for request in requests] == [[1, 7, 20], [1, 7, 21, 22], [1, 7, 23]]
    assert [request.messages for request in requests] == [(KIND, HELLO), (KIND, MORE), (KIND, BYE)]
    assert {(request.kept_tokens, request.follows) for request in requests} == {(0, None)}


def test_the_two_are_paired() -> None:
    multi, single = MultiTurn().build([CHAT, BROKEN]).requests, SingleTurn().build([CHAT, BROKEN]).requests
    assert [request.id for request in multi] == ["chat/0", "chat/1", "chat/2", "broken/0", "broken/1"]
    for one, other in zip(multi, single, strict=True):
        for field in ("id", "conversation_id", "turn_index", "response", "timestamp_s"):
            assert getattr(one, field) == getattr(other, field)
        assert one.reply_ids.tolist() == other.reply_ids.tolist()


def test_numbers_by_hand() -> None:
    # chat: prompts 3 + 7 + 9, replies 2 + 1 + 3; broken: prompts 2 + 3, replies 2 + 1, and turn 1 keeps 1 of 4 tokens
    assert MultiTurn().build([CHAT, BROKEN]).numbers == {
        "requests": 5, "conversations": 2, "prompt_tokens": 24, "reply_tokens": 9, "prefix_breaks": 1,
    }  # fmt: skip
    # alone: 3 + 4 + 3 and 2 + 2
    assert SingleTurn().build([CHAT, BROKEN]).numbers == {
        "requests": 5, "conversations": 2, "prompt_tokens": 14, "reply_tokens": 9,
    }  # fmt: skip


def test_broken_prefix_still_follows() -> None:
    assert MultiTurn().build([BROKEN]).requests[1].follows == "broken/0"


def test_chat_times_are_one_second_a_request() -> None:
    assert [request.timestamp_s for request in MultiTurn().build([CHAT, BROKEN]).requests] == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_no_system_text_is_no_message() -> None:
    assert MultiTurn().build([BROKEN]).requests[1].messages == (A, B, C)
    assert SingleTurn().build([BROKEN]).requests[1].messages == (C,)


def test_recorded_prompts_are_taken_as_they_are() -> None:
    requests = (
        MultiTurn()
        .build([recorded(("ab", "c", 100.5), ("abc\n\nd", "", 101.0), ("abc\n\nd\n\ne", "f", 103.0))])
        .requests
    )
    assert [request.messages for request in requests] == [
        (Message("user", text),) for text in ("ab", "abc\n\nd", "abc\n\nd\n\ne")
    ]
    assert [request.prompt for request in requests] == ["ab", "abc\n\nd", "abc\n\nd\n\ne"]
    assert [request.timestamp_s for request in requests] == [100.5, 101.0, 103.0]
    assert [request.follows for request in requests] == [None, "rec/0", "rec/1"]


def test_recorded_prompts_without_history_follow_nothing() -> None:
    requests = MultiTurn().build([recorded(("be kind\n\nab", "c", 0.0), ("be kind\n\nabd", "e", 1.0))]).requests
    assert [request.follows for request in requests] == [None, None]


def test_single_turn_of_a_trace_file_says_what_to_take() -> None:
    with pytest.raises(ConfigError, match=r"conversation rec .*trace=multi_turn") as caught:
        SingleTurn().build([recorded(("ab", "c", 0.0))])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("trace", [MultiTurn(), SingleTurn()])
def test_nothing_makes_nothing(trace: MultiTurn | SingleTurn) -> None:
    built = trace.build([])
    assert list(built.requests) == []
    assert set(built.numbers.values()) == {0}
