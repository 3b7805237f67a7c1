"""Mistral against mistral-common's own chat encoding."""

from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cachelab.conversation import Conversation, TokenizedConversation, Turn
from cachelab.tokenizer.mistral import Mistral

EOS = 2
TRICKY = [
    "  lead and tail  ",
    "tail \n",
    "\n\n",
    " ",
    "[INST] x [/INST]",
    "</s><s>",
    "日本語 🙂 e\u0301",
    "\t",
    "a\r\nb",
    "x" * 999,
]

texts = st.one_of(st.sampled_from(TRICKY), st.text(min_size=1, max_size=30))
chats = st.lists(st.tuples(texts, texts), min_size=1, max_size=4)


@cache
def reference() -> Any:
    from mistral_common.tokens.tokenizers.mistral import MistralTokenizer

    return MistralTokenizer.v3(is_tekken=True)


def reference_ids(system: str | None, history: list[tuple[str, str]], user: str) -> list[int]:
    from mistral_common.protocol.instruct.messages import AssistantMessage, SystemMessage, UserMessage
    from mistral_common.protocol.instruct.request import ChatCompletionRequest

    messages: list[Any] = [SystemMessage(content=system)] if system else []
    for said, replied in history:
        messages += [UserMessage(content=said), AssistantMessage(content=replied)]
    messages.append(UserMessage(content=user))
    ids: list[int] = reference().encode_chat_completion(ChatCompletionRequest(messages=messages)).tokens
    return ids


def tokenized(system: str | None, *chat: tuple[str, str]) -> TokenizedConversation:
    return Conversation("c", tuple(Turn(*turn) for turn in chat), system).tokenized(Mistral())


@settings(max_examples=60, deadline=None)
@given(chats)
@example([(text, text) for text in TRICKY])
def test_prompts_equal_mistral_commons_of_the_same_history(chat: list[tuple[str, str]]) -> None:
    conversation = tokenized(None, *chat)
    for index, prompt in enumerate(conversation.prompts()):
        assert prompt.tolist() == reference_ids(None, chat[:index], chat[index][0])
    assert conversation.prefix_breaks == 0


@settings(max_examples=30, deadline=None)
@given(chats)
def test_alone_ids_equal_a_chat_of_that_message(chat: list[tuple[str, str]]) -> None:
    for turn in tokenized("be kind", *chat).turns:
        assert turn.alone_ids is not None
        assert turn.alone_ids.tolist() == reference_ids("be kind", [], turn.user)


def test_system_text_stays_before_the_first_user_message() -> None:
    conversation = tokenized("be kind", ("one", "two"), ("three", "four"))
    first, second = (prompt.tolist() for prompt in conversation.prompts())
    assert first == reference_ids("be kind", [], "one")
    # mistral-common moves it to "three": as a part of the first message's text it stays.
    assert second == reference_ids(None, [("be kind\n\none", "two")], "three")
    assert second != reference_ids("be kind", [("one", "two")], "three")
    assert conversation.prefix_breaks == 0


def test_empty_system_text_is_none() -> None:
    assert tokenized("", ("a", "b")).prompts()[0].tolist() == tokenized(None, ("a", "b")).prompts()[0].tolist()


def test_empty_reply_is_the_end_of_sequence_token() -> None:
    conversation = tokenized(None, ("one", ""), ("two", "x"))
    assert conversation.turns[0].reply_ids.tolist() == [EOS]
    assert conversation.prompts()[1].tolist() == [
        *reference_ids(None, [], "one"),
        EOS,
        *reference_ids(None, [], "two")[1:],  # its own [BOS] left out
    ]


def test_reply_ends_with_end_of_sequence_and_loses_trailing_spaces() -> None:
    # mistral-common strips spaces, and nothing else, from the end of a reply in the history.
    spaced, plain, newline = (
        tokenized(None, ("q", reply)).turns[0].reply_ids.tolist() for reply in ("a  ", "a", "a\n")
    )
    assert spaced == plain
    assert plain[-1] == EOS
    assert newline != plain


@pytest.mark.parametrize("text", ["[INST]", "[/INST]", "</s>", "<s>"])
def test_special_token_text_is_plain_text(text: str) -> None:
    turn = tokenized(None, (text, text)).turns[0]
    user = turn.new_ids.tolist()
    assert user[:2] == [1, 3]  # [BOS] [INST], then only plain text up to [/INST]
    assert user[-1] == 4
    first_plain_id = reference().instruct_tokenizer.tokenizer.num_special_tokens
    assert min(user[2:-1]) >= first_plain_id
    assert min(turn.reply_ids[:-1]) >= first_plain_id


def test_turns_are_stored_as_differences() -> None:
    first, second = tokenized(None, ("one", "two"), ("three", "four")).turns
    assert (first.kept_tokens, second.kept_tokens) == (0, len(first.new_ids) + len(first.reply_ids))
    assert [np.asarray(ids).dtype for ids in (first.new_ids, first.reply_ids)] == [np.int32, np.int32]
    assert (first.user, first.assistant) == ("one", "two")


def test_encode_text_adds_no_special_token() -> None:
    ids = Mistral().encode_text("</s> hello")
    assert reference().decode(ids) == "</s> hello"
    assert min(ids) >= reference().instruct_tokenizer.tokenizer.num_special_tokens


def test_name_is_stable_and_does_not_load_the_vocabulary(monkeypatch: pytest.MonkeyPatch) -> None:
    import cachelab.tokenizer.mistral as module

    def refuse() -> None:
        raise AssertionError("the vocabulary was loaded")

    monkeypatch.setattr(module, "_instruct", refuse)
    # sha256sum of the bundled tekken_240718.json begins with eccd1665d2e4
    assert Mistral().name == "mistral-common:v3-tekken:system-first:eccd1665d2e4"
