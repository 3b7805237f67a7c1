"""Mistral against mistral-common's own chat encoding."""

from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cachelab.conversation import Conversation
from cachelab.errors import TokenizerError
from cachelab.message import Message, Part, ToolCall
from cachelab.spans import TEMPLATE, TOOLS
from cachelab.tokenized_conversation import TokenizedConversation
from cachelab.tokenizer.mistral import Mistral
from chat_models import WEATHER, conversation_of, conversations, openai_message

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
    return Conversation.of_texts("c", chat, system).tokenized(Mistral())


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
    for turn, (user, _) in zip(tokenized("be kind", *chat).turns, chat, strict=True):
        assert turn.alone_ids is not None
        assert turn.alone_ids.tolist() == reference_ids("be kind", [], user)


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


def test_billing_header_of_claude_code_is_left_out() -> None:
    first = [
        prompt.tolist()
        for prompt in tokenized("x-anthropic-billing-header: cch=1;\nBe brief.", ("Hi", "Hello")).prompts()
    ]
    second = [
        prompt.tolist()
        for prompt in tokenized("x-anthropic-billing-header: cch=2;\nBe brief.", ("Hi", "Hello")).prompts()
    ]
    plain = [prompt.tolist() for prompt in tokenized("Be brief.", ("Hi", "Hello")).prompts()]
    assert first == second == plain


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
    assert np.asarray(first.new_ids).dtype == np.asarray(first.reply_ids).dtype == np.int32


def test_encode_text_adds_no_special_token() -> None:
    ids = Mistral().encode_text("</s> hello")
    assert reference().decode(ids) == "</s> hello"
    assert min(ids) >= reference().instruct_tokenizer.tokenizer.num_special_tokens


def test_name_is_stable_and_does_not_load_the_vocabulary(monkeypatch: pytest.MonkeyPatch) -> None:
    import cachelab.tokenizer.mistral as module

    def refuse() -> None:
        raise AssertionError("the vocabulary was loaded")

    monkeypatch.setattr(module, "instruct", refuse)
    # sha256sum of the bundled tekken_240718.json begins with eccd1665d2e4
    assert Mistral().name == "mistral-common:v3-tekken:system-first:no-billing-header:eccd1665d2e4"


def openai_reference(messages: list[Any], tools: Any = None) -> list[int]:
    """mistral-common's tokens of messages in OpenAI's form."""
    from mistral_common.protocol.instruct.request import ChatCompletionRequest

    request = ChatCompletionRequest.from_openai(messages=messages, tools=tools)
    ids: list[int] = reference().encode_chat_completion(request).tokens
    return ids


def test_tools_calls_and_results_equal_mistral_commons() -> None:
    call = ToolCall("get_weather", '{"city":  "Zürich"}', "chatcmpl-tool-123456789")
    messages = [
        Message("system", "be kind"),
        Message("user", "Weather?"),
        Message("assistant", None, (call, ToolCall("now", "", "abcdefghi"))),
        Message("tool", '{"sky": "blue"}', tool_call_id=call.id),
        Message("tool", "", tool_call_id="abcdefghi"),
        Message("assistant", "Blue. "),
    ]
    conversation = conversation_of(messages, WEATHER)
    tokenized = conversation.tokenized(Mistral())
    sent = [openai_message(message) for message in messages]
    sent[2]["tool_calls"][0]["id"] = sent[3]["tool_call_id"] = "123456789"
    # One user message: mistral-common's last one is the first one.
    assert tokenized.prompts()[0].tolist() == openai_reference(sent[:2], [dict(tool) for tool in WEATHER])
    assert tokenized.prompts()[1].tolist() == openai_reference(sent[:5], [dict(tool) for tool in WEATHER])
    assert tokenized.prefix_breaks == 0
    spans = tokenized.spans()[1]
    assert spans[:, 1].tolist() == [TEMPLATE, TOOLS, TEMPLATE, 0, 1, TEMPLATE, 2, 3, 4]
    prompt = tokenized.prompts()[1].tolist()
    ends = [*spans[1:, 0].tolist(), len(prompt)]
    texts = [decoded(prompt[start:end]) for start, end in zip(spans[:, 0].tolist(), ends, strict=True)]
    assert texts[0] == "<s>"
    assert texts[1].startswith('[AVAILABLE_TOOLS][{"type": "function"')
    assert texts[3:6] == ["be kind\n\n", "Weather?", "[/INST]"]
    assert texts[6].startswith(
        '[TOOL_CALLS][{"name": "get_weather", "arguments": {"city": "Zürich"}, "id": "123456789"}'
    )
    assert texts[7] == '[TOOL_RESULTS]{"content": {"sky": "blue"}, "call_id": "123456789"}[/TOOL_RESULTS]'


def decoded(ids: list[int]) -> str:
    from mistral_common.tokens.tokenizers.base import SpecialTokenPolicy

    text: str = reference().instruct_tokenizer.tokenizer.decode(ids, SpecialTokenPolicy.KEEP)
    return text


def test_text_and_calls_in_one_message_follow_each_other() -> None:
    both = Message("assistant", "Wait.", (ToolCall("now", "{}", "abcdefghi"),))
    reply = conversation_of([Message("user", "q"), both]).tokenized(Mistral()).turns[0].reply_ids.tolist()
    assert decoded(reply) == 'Wait.[TOOL_CALLS][{"name": "now", "arguments": {}, "id": "abcdefghi"}]</s>'


def test_user_messages_in_a_row_are_one_block() -> None:
    users = [Message("user", "a"), Message("user", (Part("text", "b"), Part("text", "c")))]
    (prompt,) = conversation_of([*users, Message("assistant", "d")]).tokenized(Mistral()).prompts()
    assert prompt.tolist() == openai_reference([openai_message(message) for message in users])


def test_images_are_ids_of_their_digest() -> None:
    def prompt(digest: str) -> list[int]:
        message = Message("user", (Part("text", "see"), Part("image", digest=digest), Part("text", "this")))
        made = conversation_of([message, Message("assistant", "ok")]).tokenized(Mistral(image_tokens=5))
        ids: list[int] = made.prompts()[0].tolist()
        return ids

    one, same, other = prompt("aa"), prompt("aa"), prompt("bb")
    assert one == same
    assert [a == b for a, b in zip(one, other, strict=True)] == [True] * 3 + [False] * 5 + [True] * 2
    assert min(one[3:8]) >= reference().instruct_tokenizer.tokenizer.num_special_tokens
    with pytest.raises(TokenizerError, match=r"set tokenizer\.image_tokens"):
        conversation_of([Message("user", (Part("image", digest="aa"),)), Message("assistant", "ok")]).tokenized(
            Mistral()
        )


@settings(max_examples=40, deadline=None)
@given(conversations())
def test_spans_rise_cover_the_prompt_and_hold_the_texts(conversation: Conversation) -> None:
    tokenized = conversation.tokenized(Mistral())
    for prompt, spans, messages in zip(
        tokenized.prompts(), tokenized.spans(), conversation.prompt_messages(), strict=True
    ):
        assert spans[0].tolist() == [0, TEMPLATE]
        assert (np.diff(spans[:, 0]) > 0).all()
        assert spans[-1, 0] < len(prompt)
        assert (np.diff(spans[:, 1]) != 0).all()
        ends = [*spans[1:, 0].tolist(), len(prompt)]
        texts = [decoded(prompt[start:end].tolist()) for start, end in zip(spans[:, 0].tolist(), ends, strict=True)]
        for source, message in enumerate(messages):
            text = "".join(text for text, of in zip(texts, spans[:, 1].tolist(), strict=True) if of == source)
            if message.role == "user":
                parts = message.content if isinstance(message.content, tuple) else (Part("text", message.text),)
                assert all(part.text.strip() in text for part in parts)
            elif message.role == "assistant":
                assert message.text.strip() in text
