"""The nouns that travel from a dataset to a trace."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cachelab.conversation import (
    NO_SPANS,
    Conversation,
    RecordedConversation,
    RecordedTurn,
    Spans,
    TokenIds,
    TokenizedConversation,
    TokenizedTurn,
    common_prefix,
    new_spans,
    of_turn,
    with_reply,
)

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
    assert [np.asarray(prompt).dtype for prompt in conversation.prompts()] == [np.int32]
    assert TokenizedConversation("c", ()).prompts() == []


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


@st.composite
def span_rows(draw: st.DrawFn) -> Spans:
    starts = sorted(draw(st.sets(st.integers(1, 12), max_size=5)))
    return np.array([(start, draw(st.integers(-2, 3))) for start in (0, *starts)], np.int32)


@given(st.lists(span_rows(), max_size=4), st.integers(13, 15))
def test_spans_come_back_from_their_differences(prompts: list[Spans], length: int) -> None:
    """Any spans, whatever those of the prompt and the reply before were."""
    turns: list[TokenizedTurn] = []
    context = NO_SPANS
    for spans in prompts:
        turns.append(TokenizedTurn(0, ids(*range(length)), ids(0), new_spans=new_spans(context, spans)))
        context = with_reply(spans, length, 0)
    read = TokenizedConversation("c", tuple(turns)).spans()
    assert [spans.tolist() for spans in read] == [spans.tolist() for spans in prompts]
