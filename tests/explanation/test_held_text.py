"""The split of the tokens after a break, by hand and by its invariants."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachelab.explanation.earlier_request import compared
from cachelab.explanation.held_text import held_tokens
from cachelab.explanation.rendered import LineEnds, Rendered
from cachelab.message import Isolation, Message
from cachelab.request import Request
from cachelab.spans import TEMPLATE


class Words:
    """One token per word; a word that ends with | ends a line."""

    def __init__(self) -> None:
        self.known: list[str] = []

    def ids(self, text: str) -> list[int]:
        for word in text.split():
            if word not in self.known:
                self.known.append(word)
        return [self.known.index(word) for word in text.split()]

    def decode(self, ids: Sequence[int]) -> str:
        return " ".join(self.known[one].replace("|", "\n") for one in ids)


def request(words: Words, name: str, messages: list[tuple[str, str]], reply: str, template: str = "/") -> Request:
    """A request whose messages stand before a token of the template each."""
    ids: list[int] = []
    spans: list[tuple[int, int]] = []
    for index, (_, text) in enumerate(messages):
        spans.append((len(ids), index))
        ids += words.ids(text)
        spans.append((len(ids), TEMPLATE))
        ids += words.ids(template)
    conversation, _, turn = name.partition("/")
    return Request(
        id=name,
        conversation_id=conversation,
        turn_index=int(turn),
        prompt_ids=np.asarray(ids, np.int32),
        reply_ids=np.asarray(words.ids(reply), np.int32),
        messages=tuple(Message(role, text) for role, text in messages),  # type: ignore[arg-type]
        recorded_reply=Message("assistant", reply),
        timestamp_s=0.0,
        spans=np.asarray(spans, np.int32),
    )


def shown(words: Words, prompt: Rendered, mask: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> str:
    return " ".join(words.known[one] for one in prompt.ids[mask].tolist())


def test_the_example_of_the_document() -> None:
    words = Words()
    first = request(words, "a/0", [("system", "It is 9 .| Be brief .|"), ("user", "hi")], "hello </s>")
    second = request(
        words,
        "a/1",
        [("system", "It is 10 .| Be brief .|"), ("user", "hi"), ("assistant", "hello </s>"), ("user", "again")],
        "yes </s>",
    )
    assert len(second.prompt_ids) == 15
    prompt = Rendered.prompt(second)
    held = held_tokens(prompt, Rendered.whole(first, 2), 2, LineEnds(words.decode))
    assert shown(words, prompt, held) == ".| Be brief .| / hi / hello </s>"
    assert (int(held.sum()), 15 - 2 - int(held.sum())) == (9, 4)


def test_messages_that_moved_are_held_and_those_between_are_new() -> None:
    words = Words()
    first = request(words, "a/0", [("system", "s"), ("user", "one two"), ("user", "three four")], "r e")
    second = request(
        words, "a/1", [("system", "t"), ("user", "three four"), ("user", "new"), ("assistant", "r e")], "x e"
    )
    held = held_tokens(Rendered.prompt(second), Rendered.whole(first, 2), 0, LineEnds(words.decode))
    assert shown(words, Rendered.prompt(second), held) == "three four / r e"


def test_message_of_which_less_than_half_was_held_is_new() -> None:
    words = Words()
    first = request(words, "a/0", [("user", "x a| b| c|")], "r e")
    line_ends = LineEnds(words.decode)
    for text, expected in (
        ("y a| n| m|", ""),
        ("y a| b| m|", ""),
        ("y a| b| c|", "a| b| c| /"),
        ("y n| b| c|", "b| c| /"),
    ):
        prompt = Rendered.prompt(request(words, "a/1", [("user", text)], "q e"))
        held = held_tokens(prompt, Rendered.whole(first, 2), 0, line_ends)
        assert shown(words, prompt, held) == (expected if text != "y a| b| m|" else "a| b| /")


TEXT = st.lists(st.sampled_from(["a", "b|", "c", "d|"]), min_size=1, max_size=5).map(" ".join)
CHAT = st.lists(st.tuples(st.sampled_from(["user", "assistant"]), TEXT), min_size=1, max_size=4)


@given(st.lists(st.tuples(CHAT, TEXT, st.sampled_from("pq"), st.sampled_from([None, "s"])), min_size=1, max_size=8))
def test_each_prompt_is_compared_with_a_request_before_it(
    chats: list[tuple[list[tuple[str, str]], str, str, str | None]],
) -> None:
    words = Words()
    requests = [
        replace(
            request(words, f"{name}/{number}", messages, reply),
            isolation=None if salt is None else Isolation(salt),
        )
        for number, (messages, reply, name, salt) in enumerate(chats)
    ]
    replies = [len(one.reply_ids) for one in requests]
    found = compared(requests, replies, [0] * len(requests), LineEnds(words.decode))
    for index, one in enumerate(found):
        if one.earlier is None:
            continue
        assert one.earlier < index
        prompt, before = np.asarray(requests[index].prompt_ids), requests[one.earlier]
        text = np.concatenate([before.prompt_ids, before.reply_ids])
        if one.token is None:
            assert one.held is None
            continue
        assert one.held is not None
        assert np.array_equal(prompt[: one.token], text[: one.token])
        assert not one.held[: one.token].any()
        assert set(prompt[one.held].tolist()) <= set(text.tolist())
        if not one.isolated:
            assert one.token < len(prompt)
            assert one.token < len(text)
            assert prompt[one.token] != text[one.token]


def test_no_earlier_request_is_no_break() -> None:
    words = Words()
    (found,) = compared([request(words, "a/0", [("user", "a b")], "r e")], [2], [0], LineEnds(words.decode))
    assert (found.earlier, found.token) == (None, None)


@pytest.mark.parametrize(("text", "ends"), [("a b| c|", [False, True, True]), ("a", [False])])
def test_line_ends(text: str, ends: list[bool]) -> None:
    words = Words()
    ids = np.asarray(words.ids(text), np.int32)
    assert LineEnds(words.decode).of(ids).tolist() == ends
