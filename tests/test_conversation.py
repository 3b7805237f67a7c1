"""The nouns that travel from a dataset to a trace."""

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cachelab.conversation import (
    Conversation,
    RecordedConversation,
    RecordedTurn,
    TokenIds,
    TokenizedConversation,
    TokenizedTurn,
    Turn,
    common_prefix,
)

NOTHING = np.empty(0, dtype=np.int32)


def ids(*values: int) -> TokenIds:
    return np.array(values, dtype=np.int32)


class Codepoints:
    """One token a character."""

    name = "codepoints"

    def encode_text(self, text: str) -> list[int]:
        return [ord(character) for character in text]

    def encode_chat(self, system: str | None, turns: Sequence[Turn]) -> list[TokenizedTurn]:
        new = [ids(*self.encode_text((system or "") + turn.user)) for turn in turns]
        return [
            TokenizedTurn(0, made, NOTHING, made, turn.user, turn.assistant)
            for made, turn in zip(new, turns, strict=True)
        ]


def test_prompts_are_rebuilt_from_differences() -> None:
    conversation = TokenizedConversation(
        "c",
        (
            TokenizedTurn(0, ids(1, 2), ids(3), None, "", ""),
            TokenizedTurn(3, ids(4), ids(5, 6), None, "", ""),  # all of 1 2 3
            TokenizedTurn(5, ids(9), ids(7), None, "", ""),  # 1 2 3 4 5, without the reply's 6
        ),
    )
    assert [prompt.tolist() for prompt in conversation.prompts()] == [[1, 2], [1, 2, 3, 4], [1, 2, 3, 4, 5, 9]]
    assert [turn.prompt_tokens for turn in conversation.turns] == [2, 4, 6]
    assert conversation.prompt_tokens == 12
    assert conversation.prefix_breaks == 1  # the last turn


def test_prompts_have_one_type() -> None:
    conversation = TokenizedConversation("c", (TokenizedTurn(0, ids(1), NOTHING, None, "", ""),))
    assert [np.asarray(prompt).dtype for prompt in conversation.prompts()] == [np.int32]
    assert TokenizedConversation("c", ()).prompts() == []


def test_conversation_keeps_its_id_and_system_text() -> None:
    tokenized = Conversation("c", (Turn("b", "x"),), "a").tokenized(Codepoints())
    assert (tokenized.id, tokenized.system) == ("c", "a")
    assert tokenized.prompts()[0].tolist() == [97, 98]


def test_recorded_text_is_encoded_and_compared_to_what_came_before() -> None:
    conversation = RecordedConversation(
        "c", (RecordedTurn("ab", "c", 1.0), RecordedTurn("abcd", "", 2.0), RecordedTurn("ax", "y", 3.0))
    )
    tokenized = conversation.tokenized(Codepoints())
    assert [turn.kept_tokens for turn in tokenized.turns] == [0, 3, 1]
    assert [bytes(prompt.tolist()).decode() for prompt in tokenized.prompts()] == ["ab", "abcd", "ax"]
    assert tokenized.prefix_breaks == 1
    assert [(turn.alone_ids, turn.timestamp_s, turn.user) for turn in tokenized.turns] == [
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
