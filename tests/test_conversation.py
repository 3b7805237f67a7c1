"""The nouns that travel from a dataset to a trace."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cachelab.conversation import (
    TEMPLATE,
    Conversation,
    RecordedConversation,
    RecordedTurn,
    TokenIds,
    TokenizedConversation,
    TokenizedTurn,
    Turn,
    common_prefix,
    messages_alone,
    new_spans,
    with_reply,
)
from cachelab.message import Message

NOTHING = np.empty(0, dtype=np.int32)


def ids(*values: int) -> TokenIds:
    return np.array(values, dtype=np.int32)


class Codepoints:
    """One token a character."""

    name = "codepoints"

    def encode_text(self, text: str) -> list[int]:
        return [ord(character) for character in text]

    def encode_chat(self, conversation: Conversation) -> list[TokenizedTurn]:
        prompts = ["".join(message.text for message in messages) for messages in conversation.prompt_messages()]
        new = [ids(*self.encode_text(prompt)) for prompt in prompts]
        return [
            TokenizedTurn(0, made, NOTHING, made, turn=turn) for made, turn in zip(new, conversation.turns, strict=True)
        ]


def test_prompts_are_rebuilt_from_differences() -> None:
    conversation = TokenizedConversation(
        "c",
        (
            TokenizedTurn(0, ids(1, 2), ids(3)),
            TokenizedTurn(3, ids(4), ids(5, 6)),  # all of 1 2 3
            TokenizedTurn(5, ids(9), ids(7)),  # 1 2 3 4 5, without the reply's 6
        ),
    )
    assert [prompt.tolist() for prompt in conversation.prompts()] == [[1, 2], [1, 2, 3, 4], [1, 2, 3, 4, 5, 9]]
    assert [turn.prompt_tokens for turn in conversation.turns] == [2, 4, 6]
    assert conversation.prompt_tokens == 12
    assert conversation.prefix_breaks == 1  # the last turn


def test_prompts_have_one_type() -> None:
    conversation = TokenizedConversation("c", (TokenizedTurn(0, ids(1), NOTHING),))
    assert [prompt.dtype for prompt in conversation.prompts()] == [np.int32]
    assert TokenizedConversation("c", ()).prompts() == []


def test_conversation_of_texts_holds_them_as_messages() -> None:
    conversation = Conversation.of_texts("c", [("b", "x"), ("d", "")], "a")
    system, user, reply = Message("system", "a"), Message("user", "b"), Message("assistant", "x")
    prompts = [(system, user), (system, user, reply, Message("user", "d"))]
    assert conversation.prompt_messages() == prompts
    assert [turn.kept_messages for turn in conversation.turns] == [0, 3]
    assert conversation.turns[1].new_messages == (Message("user", "d"),)
    tokenized = conversation.tokenized(Codepoints())
    assert (tokenized.id, tokenized.prompt_messages()) == ("c", prompts)
    assert [bytes(prompt.tolist()).decode() for prompt in tokenized.prompts()] == ["ab", "abxd"]


def test_prompt_messages_are_rebuilt_from_differences() -> None:
    a, b, c, d = (Message("user", text) for text in "abcd")
    reply = Message("assistant", "r")
    # The second prompt keeps a, b and the reply; the third replaces all from b on; the fourth follows no reply.
    turns = (Turn(0, (a, b), reply), Turn(3, (c,), reply), Turn(1, (d,), None), Turn(2, (c,), reply))
    assert Conversation("c", turns).prompt_messages() == [(a, b), (a, b, reply, c), (a, d), (a, d, c)]


def test_spans_are_rebuilt_from_differences() -> None:
    # Prompt 0: template, message 0 from token 1 on. Its reply (message 1) starts at token 3, prompt 1 adds message 2.
    first = np.asarray([(0, TEMPLATE), (1, 0)], np.int32)
    second = np.asarray([(0, TEMPLATE), (1, 0), (3, 1), (5, 2)], np.int32)
    context = with_reply(first, 3, 1)
    assert context.tolist() == [[0, TEMPLATE], [1, 0], [3, 1]]
    stored = new_spans(context, second)
    assert stored.tolist() == [[5, 2]]
    turns = tuple(Turn(kept, (Message("user", "x"),), Message("assistant", "y")) for kept in (0, 2))
    tokenized = TokenizedConversation(
        "c",
        (
            TokenizedTurn(0, ids(1, 2, 3), ids(4, 5), new_spans=first, turn=turns[0]),
            TokenizedTurn(5, ids(6), ids(7), new_spans=stored, turn=turns[1]),
        ),
    )
    assert [spans.tolist() for spans in tokenized.spans()] == [first.tolist(), second.tolist()]


def test_messages_alone_are_the_leading_system_messages_and_the_last_user_message() -> None:
    system, developer, user = Message("system", "s"), Message("developer", "d"), Message("user", "u")
    reply, tool = Message("assistant", "r"), Message("tool", "t")
    assert messages_alone([system, developer, user, reply, user, reply, tool]) == (0, 1, 4)
    assert messages_alone([user, system, user]) == (2,)
    assert messages_alone([system, reply]) is None


def test_recorded_text_is_encoded_and_compared_to_what_came_before() -> None:
    conversation = RecordedConversation(
        "c", (RecordedTurn("ab", "c", 1.0), RecordedTurn("abcd", "", 2.0), RecordedTurn("ax", "y", 3.0))
    )
    tokenized = conversation.tokenized(Codepoints())
    assert [turn.kept_tokens for turn in tokenized.turns] == [0, 3, 1]
    assert [bytes(prompt.tolist()).decode() for prompt in tokenized.prompts()] == ["ab", "abcd", "ax"]
    assert tokenized.prefix_breaks == 1
    assert [(turn.alone_ids, turn.timestamp_s, turn.turn.prompt) for turn in tokenized.turns] == [
        (None, 1.0, "ab"), (None, 2.0, "abcd"), (None, 3.0, "ax"),
    ]  # fmt: skip


def test_recorded_ids_are_taken_only_from_the_same_tokenizer() -> None:
    def turn(tokenizer: str | None) -> RecordedConversation:
        return RecordedConversation("c", (RecordedTurn("a", "b", 0.0, ids(1, 2), ids(3), tokenizer),))

    own, other = turn("codepoints").tokenized(Codepoints()), turn("else").tokenized(Codepoints())
    assert (own.prompts()[0].tolist(), own.turns[0].reply_ids.tolist()) == ([1, 2], [3])
    assert (other.prompts()[0].tolist(), other.turns[0].reply_ids.tolist()) == ([97], [98])


tokens = st.lists(st.integers(0, 2), max_size=6)


@given(tokens, tokens)
def test_common_prefix_is_the_longest(a: list[int], b: list[int]) -> None:
    n = common_prefix(ids(*a), ids(*b))
    assert a[:n] == b[:n]
    assert n == min(len(a), len(b)) or a[n] != b[n]


@given(st.lists(st.tuples(st.text("ab", max_size=5), st.text("ab", max_size=3)), max_size=5))
def test_recorded_prompts_come_back_whatever_they_share(turns: list[tuple[str, str]]) -> None:
    conversation = RecordedConversation("c", tuple(RecordedTurn(prompt, reply, 0.0) for prompt, reply in turns))
    prompts = conversation.tokenized(Codepoints()).prompts()
    assert [bytes(prompt.tolist()).decode() for prompt in prompts] == [prompt for prompt, _ in turns]
