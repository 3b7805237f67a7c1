"""Conversations of texts, and what a tokenizer makes of them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cachelab.conversation import Conversation, RecordedConversation
from cachelab.tokenized_conversation import TokenizedTurn, of_turn
from cachelab.tokens import TokenIds
from cachelab.turn import RecordedTurn

NOTHING = np.empty(0, dtype=np.int32)


def ids(*values: int) -> TokenIds:
    return np.array(values, dtype=np.int32)


class Codepoints:
    """One token a character."""

    name = "codepoints"

    def encode_text(self, text: str) -> list[int]:
        return [ord(character) for character in text]

    def encode_chat(self, conversation: Conversation) -> list[TokenizedTurn]:
        texts = ["".join(message.text for message in messages) for messages in conversation.prompt_messages()]
        return [
            TokenizedTurn(0, ids(*self.encode_text(text)), NOTHING, **of_turn(turn))
            for text, turn in zip(texts, conversation.turns, strict=True)
        ]


def test_conversation_of_texts_is_a_chat_of_messages() -> None:
    conversation = Conversation.of_texts("c", [("b", "x"), ("d", "y")], "a")
    assert [[message.text for message in messages] for messages in conversation.prompt_messages()] == [
        ["a", "b"],
        ["a", "b", "x", "d"],
    ]
    tokenized = conversation.tokenized(Codepoints())
    assert tokenized.id == "c"
    assert tokenized.prompts()[0].tolist() == [97, 98]


def test_recorded_text_is_encoded_and_compared_to_what_came_before() -> None:
    conversation = RecordedConversation(
        "c", (RecordedTurn("ab", "c", 1.0), RecordedTurn("abcd", "", 2.0), RecordedTurn("ax", "y", 3.0))
    )
    tokenized = conversation.tokenized(Codepoints())
    assert [turn.kept_tokens for turn in tokenized.turns] == [0, 3, 1]
    assert [bytes(prompt.tolist()).decode() for prompt in tokenized.prompts()] == ["ab", "abcd", "ax"]
    assert tokenized.prefix_breaks == 1
    assert [(turn.alone_ids, turn.timestamp_s) for turn in tokenized.turns] == [(None, 1.0), (None, 2.0), (None, 3.0)]
    assert [messages[0].text for messages in tokenized.prompt_messages()] == ["ab", "abcd", "ax"]


def test_recorded_ids_are_taken_only_from_the_same_tokenizer() -> None:
    def turn(tokenizer: str | None) -> RecordedConversation:
        return RecordedConversation("c", (RecordedTurn("a", "b", 0.0, ids(1, 2), ids(3), tokenizer),))

    own, other = turn("codepoints").tokenized(Codepoints()), turn("else").tokenized(Codepoints())
    assert (own.prompts()[0].tolist(), own.turns[0].reply_ids.tolist()) == ([1, 2], [3])
    assert (other.prompts()[0].tolist(), other.turns[0].reply_ids.tolist()) == ([97], [98])


@given(st.lists(st.tuples(st.text("ab", max_size=5), st.text("ab", max_size=3)), max_size=5))
def test_recorded_prompts_come_back_whatever_they_share(turns: list[tuple[str, str]]) -> None:
    conversation = RecordedConversation("c", tuple(RecordedTurn(prompt, reply, 0.0) for prompt, reply in turns))
    prompts = conversation.tokenized(Codepoints()).prompts()
    assert [bytes(prompt.tolist()).decode() for prompt in prompts] == [prompt for prompt, _ in turns]
