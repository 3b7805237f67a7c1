"""Every form of a message; what is left out is counted, what cannot be read is one line."""

import base64
import hashlib
from collections import Counter
from typing import Any

import pytest

from cachelab.dataset.chat_message import MessageReader
from cachelab.dataset.chat_response import read_response
from cachelab.dataset.ignored_fields import IgnoredFields
from cachelab.errors import DatasetError
from cachelab.message import Message, Part, ToolCall

IMAGE = b"\x89PNG a picture" * 10
BASE64 = base64.b64encode(IMAGE).decode()
DATA_URL = f"data:image/png;base64,{BASE64}"
DIGEST = hashlib.sha256(IMAGE).hexdigest()
OF_URL = hashlib.sha256(b"https://x/y.png").hexdigest()
CALL = ToolCall("find", '{"q": 1}', "c1")


def read(*raw: Any) -> tuple[list[Message], dict[str, int]]:
    """The messages, and the counts that are not 0."""
    reader = MessageReader(Counter(), IgnoredFields())
    messages = [message for message, _ in reader.messages(list(raw), "messages")]
    assert reader.counts["messages"] == len(raw)
    counts = {key: count for key, count in (reader.counts + Counter(reader.ignored.counts)).items() if count}
    return messages, {key: count for key, count in counts.items() if key != "messages"}


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"role": "system", "content": "s"}, Message("system", "s")),
        ({"role": "developer", "content": "s"}, Message("developer", "s")),
        ({"role": "user", "content": "u", "name": "Ann"}, Message("user", "u", name="Ann")),
        ({"role": "tool", "content": "r", "tool_call_id": "c1"}, Message("tool", "r", tool_call_id="c1")),
        ({"role": "tool", "content": "r", "tool_call_ids": ["c1"]}, Message("tool", "r", tool_call_id="c1")),
        ({"role": "function", "content": "r", "name": "find"}, Message("function", "r", name="find")),
        (
            {"role": "assistant", "content": None, "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"q": 1}'}}]},
            Message("assistant", None, (CALL,)),
        ),
        (
            {"role": "assistant", "content": "", "tool_calls": [{"id": "c1", "name": "find", "args": {"q": 1}}]},
            Message("assistant", "", (CALL,)),
        ),
        (
            {"role": "assistant", "content": None, "function_call": {"name": "find", "arguments": '{"q": 1}'}},
            Message("assistant", None, (ToolCall("find", '{"q": 1}'),)),
        ),
        (
            {"role": "assistant", "tool_calls": [{"function": {"name": "now", "arguments": None}}]},
            Message("assistant", None, (ToolCall("now", "{}"),)),
        ),
        ({"role": "assistant", "content": "a", "reasoning_content": "r"}, Message("assistant", "a", reasoning="r")),
        ({"role": "assistant", "content": "a", "reasoning": "r"}, Message("assistant", "a", reasoning="r")),
        ({"role": "assistant", "content": "a", "thinking": "r"}, Message("assistant", "a", reasoning="r")),
        (
            {"role": "user", "content": [{"type": "text", "text": "a"}, "b", {"type": "input_text", "text": "c"}]},
            Message("user", tuple(Part("text", text) for text in "abc")),
        ),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": DATA_URL}}]},
            Message("user", (Part("image", digest=DIGEST),)),
        ),
        (
            {"role": "user", "content": [{"type": "input_image", "image_url": "https://x/y.png"}]},
            Message("user", (Part("image", digest=OF_URL),)),
        ),
        (
            {"role": "user", "content": [{"type": "image", "source": {
                "type": "base64", "media_type": "image/png", "data": BASE64}}]},
            Message("user", (Part("image", digest=DIGEST),)),
        ),
        (
            {"role": "user", "content": [{"type": "image", "image": {"bytes": IMAGE, "path": None}}]},
            Message("user", (Part("image", digest=DIGEST),)),
        ),
        (
            {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": BASE64, "format": "wav"}}]},
            Message("user", (Part("audio", digest=DIGEST),)),
        ),
        ({"role": "user", "content": [{"text": "a", "image_url": None}]}, Message("user", (Part("text", "a"),))),
        (
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "r", "signature": "x"}, {"type": "text", "text": "a"},
                {"type": "tool_use", "id": "c1", "name": "find", "input": {"q": 1}}]},
            Message("assistant", (Part("text", "a"),), (CALL,), reasoning="r"),
        ),
        ({"type": "function_call", "call_id": "c1", "name": "find", "arguments": '{"q": 1}'},
         Message("assistant", None, (CALL,))),
        ({"type": "function_call_output", "call_id": "c1", "output": "r"}, Message("tool", "r", tool_call_id="c1")),
    ],
)  # fmt: skip
def test_forms_that_lose_nothing(raw: dict[str, Any], expected: Message) -> None:
    assert read(raw) == ([expected], {})


@pytest.mark.parametrize(
    ("raw", "expected", "counted"),
    [
        ({"from": "human", "value": "u"}, [Message("user", "u")], {"aliased_roles": 1}),
        ({"from": "gpt", "value": "a"}, [Message("assistant", "a")], {"aliased_roles": 1}),
        ({"role": " User ", "content": "u"}, [Message("user", "u")], {"aliased_roles": 1}),
        ({"role": "critic", "content": "u"}, [], {"dropped_unknown_role": 1}),
        ({"role": "user", "content": "a\ud83d"}, [Message("user", "a\ufffd")], {"repaired_texts": 1}),
        ({"role": "assistant", "content": None}, [Message("assistant", None)], {"empty_messages": 1}),
        ({"role": "user", "content": "u", "thought": "t", "action": "", "agent": "main"}, [Message("user", "u")],
         {"ignored_fields": 2, "ignored_values": 2}),
        ({"role": "user", "content": [{"type": "text", "text": "u"}, {"type": "video_url", "video_url": {"url": "x"}}]},
         [Message("user", (Part("text", "u"),))], {"dropped_video_parts": 1}),
        ({"role": "user", "content": [{"type": "text", "text": "u"}, {"type": "file", "file": {"file_id": "x"}}]},
         [Message("user", (Part("text", "u"),))], {"dropped_file_parts": 1}),
        ({"role": "user", "content": [{"type": "text", "text": "u"}, {"type": "hologram"}]},
         [Message("user", (Part("text", "u"),))], {"dropped_other_parts": 1}),
        ({"role": "assistant", "content": [{"type": "text", "text": "a"}, {"type": "redacted_thinking", "data": "x"}]},
         [Message("assistant", (Part("text", "a"),))], {"dropped_redacted_reasoning": 1}),
        ({"role": "tool", "content": "r", "tool_call_ids": ["c1", "c2"]}, [Message("tool", "r", tool_call_id="c1")],
         {"dropped_tool_call_ids": 1}),
        ({"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "r"}]},
            {"type": "tool_result", "tool_use_id": "c2", "content": "s"}, {"type": "text", "text": "u"}]},
         [Message("tool", (Part("text", "r"),), tool_call_id="c1"), Message("tool", "s", tool_call_id="c2"),
          Message("user", (Part("text", "u"),))], {}),
    ],
)  # fmt: skip
def test_forms_that_are_counted(raw: dict[str, Any], expected: list[Message], counted: dict[str, int]) -> None:
    assert read(raw) == (expected, counted)


def test_items_of_one_response_are_one_message() -> None:
    items = [
        {"role": "user", "content": "u"},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "r"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "a"}]},
        {"type": "function_call", "call_id": "c1", "name": "find", "arguments": '{"q": 1}'},
        {"type": "function_call_output", "call_id": "c1", "output": "r"},
    ]
    reply = Message("assistant", (Part("text", "a"),), (CALL,), reasoning="r")
    assert read(*items) == ([Message("user", "u"), reply, Message("tool", "r", tool_call_id="c1")], {})
    reader = MessageReader(Counter(), IgnoredFields())
    assert read_response({"object": "response", "output": items[1:4]}, "response", reader).reply == reply


def test_equal_images_have_equal_digests_whatever_their_form() -> None:
    forms = [
        {"type": "image_url", "image_url": f"data:image/png;base64,{BASE64}"},
        {"type": "image", "source": {"type": "base64", "data": BASE64}},
        {"type": "image", "image": IMAGE},
    ]
    messages, _ = read({"role": "user", "content": [*forms, {"type": "image_url", "image_url": "https://x/y.png"}]})
    content = messages[0].content
    assert isinstance(content, tuple)
    assert len({part.digest for part in content[:3]}) == 1
    assert content[3].digest not in {content[0].digest, ""}


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("hi", "messages[0] is text, not a message"),
        ({"content": "x"}, "messages[0] has no role"),
        ({"role": 3, "content": "x"}, "messages[0].role is a number, not text"),
        ({"role": "user", "content": 3}, "messages[0].content is a number, not text"),
        ({"role": "user", "content": {"a": 1}}, "messages[0].content is an object, not text"),
        ({"role": "user", "content": [3]}, "messages[0].content[0] is a number, not a part"),
        ({"role": "user", "content": [{"type": "text"}]}, "messages[0].content[0].text is null, not text"),
        ({"role": "user", "content": [{"x": 1}]}, "messages[0].content[0] has neither type nor text"),
        ({"role": "user", "content": [{"type": 1}]}, "messages[0].content[0].type is a number"),
        ({"role": "user", "content": [{"type": "image"}]}, "the 'image' part has neither data nor an address"),
        ({"role": "assistant", "tool_calls": 1}, "messages[0].tool_calls is a number, not a list"),
        ({"role": "assistant", "tool_calls": [1]}, "messages[0].tool_calls[0] is a number"),
        ({"role": "assistant", "tool_calls": [{}]}, "messages[0].tool_calls[0]: field name is null"),
        ({"role": "assistant", "function_call": "f"}, "messages[0].function_call is text"),
        ({"role": "tool", "content": "r", "tool_call_id": []}, "messages[0].tool_call_id is an array"),
        ({"role": "tool", "content": "r", "tool_call_ids": "c"}, "messages[0].tool_call_ids is not a list"),
        ({"role": "assistant", "content": "a", "reasoning": {"x": 1}}, "messages[0].reasoning is an object"),
        ({"role": "user", "content": "u", "name": {"x": 1}}, "messages[0].name is an object"),
    ],
)
def test_what_is_no_message_is_one_line_with_its_field(raw: Any, message: str) -> None:
    with pytest.raises(DatasetError) as caught:
        read(raw)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


COMPLETION = {"choices": [{"message": {"role": "assistant", "content": "a"}}], "usage": {"prompt_tokens": 3}}


@pytest.mark.parametrize(
    "raw",
    [
        COMPLETION,
        {"status_code": 200, "request_id": "x", "body": COMPLETION},
        {"choices": [{"text": "a"}]},
        {"role": "assistant", "content": "a"},
        {"content": "a"},
        {"message": {"role": "assistant", "content": "a"}},
        [{"role": "assistant", "content": "a"}],
        "a",
        '{"role": "assistant", "content": "a"}',
    ],
)
def test_reply_of_each_form_of_a_response(raw: Any) -> None:
    assert read_response(raw, "response", MessageReader(Counter(), IgnoredFields())).reply == Message("assistant", "a")


def test_response_that_is_json_of_the_models_own_is_text() -> None:
    for text in ('{"content": "x"}', "[1, 2]", '{"cut', "[]"):
        found = read_response(text, "response", MessageReader(Counter(), IgnoredFields()))
        assert found.reply == Message("assistant", text)


def test_responses_without_a_reply() -> None:
    reader = MessageReader(Counter(), IgnoredFields())
    assert read_response({"status_code": 400, "body": {}}, "r", reader).failed
    assert read_response({"error": {"message": "overloaded"}}, "r", reader).failed
    nothing: tuple[Any, ...] = (None, "", {}, [], {"choices": []})
    for raw in nothing:
        assert read_response(raw, "r", reader).reply is None
    read_response({"choices": [*COMPLETION["choices"], *COMPLETION["choices"]]}, "r", reader)
    assert reader.counts["dropped_choices"] == 1


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (3, "field response is a number, not a response"),
        ({"x": 1}, "field response has none of choices, message, output, body and content"),
        ({"choices": 3}, "field response.choices is a number"),
        ({"choices": [{"delta": {"content": "a"}}]}, "field response.choices[0] has no message: a stream's pieces"),
        ([{"choices": [{"delta": {}}]}], "field response holds the pieces of a stream"),
        ({"role": "user", "content": "a"}, "field response holds a message that is not the assistant's"),
    ],
)
def test_what_is_no_response_is_one_line(raw: Any, message: str) -> None:
    with pytest.raises(DatasetError) as caught:
        read_response(raw, "response", MessageReader(Counter(), IgnoredFields()))
    assert message in str(caught.value)
