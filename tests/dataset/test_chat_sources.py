"""Logs as docs/datasets.md says how to get them: vLLM, LiteLLM, Langfuse, batch files, Claude Code."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from cachelab.conversation import Conversation
from cachelab.dataset.base import LoadedDataset
from cachelab.dataset.chat import Chat
from cachelab.errors import DatasetError
from cachelab.message import Isolation, LoggedUsage, Message, Part

PROMPTS = [[{"role": "user", "content": "u"}]]
PROMPTS += [[*PROMPTS[0], {"role": "assistant", "content": "a"}, {"role": "user", "content": "v"}]]
TOOL = {"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}
U, A, V, B = Message("user", "u"), Message("assistant", "a"), Message("user", "v"), Message("assistant", "b")


def completion(text: str) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1_718_000_000, "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 4}},
    }  # fmt: skip


def lines(path: Path, *rows: Any) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def only(dataset: LoadedDataset) -> Conversation:
    (conversation,) = dataset.conversations
    assert isinstance(conversation, Conversation)
    return conversation


def test_vllm_debug_log(tmp_path: Path) -> None:
    # The line of vllm/entrypoints/serve/utils/request_logger.py, and what docs/datasets.md takes out of it.
    log = [f"DEBUG 11-25 15:00:00 [request_logger.py:74] Request chatcmpl-{n} JSON body: " + json.dumps(
        {"messages": prompt, "model": "m", "tools": [TOOL]}) for n, prompt in enumerate(PROMPTS)]  # fmt: skip
    bodies = [match[1] for line in log if (match := re.search(r"JSON body: (\{.*)", line))]
    (tmp_path / "calls.jsonl").write_text("\n".join(bodies))
    conversation = only(Chat(path=str(tmp_path / "calls.jsonl")).load())
    assert conversation.prompt_messages() == [(U,), (U, A, V)]
    assert [turn.reply for turn in conversation.turns] == [A, None]
    assert list(conversation.turns[0].tools) == [TOOL]


def test_litellm_standard_logging_payload(tmp_path: Path) -> None:
    rows = [
        {"id": f"{n}", "trace_id": "t", "call_type": "acompletion", "status": "success", "total_tokens": 10,
         "startTime": 1_718_000_000.25 + n, "endTime": 1_718_000_001.0 + n, "model": "m", "messages": prompt,
         "response": completion(text), "metadata": {"user_api_key_alias": "x"},
         "model_parameters": {"temperature": 0, "tools": [TOOL]}, "cache_hit": None}
        for n, (prompt, text) in enumerate(zip(PROMPTS, "ab", strict=True))
    ]  # fmt: skip
    conversation = only(Chat(path=lines(tmp_path / "calls.jsonl", *rows), tools_field="model_parameters.tools").load())
    assert conversation.prompt_messages() == [(U,), (U, A, V)]
    assert [turn.reply for turn in conversation.turns] == [A, B]
    assert [turn.timestamp_s for turn in conversation.turns] == [0.0, 1.0]
    assert [turn.think_s for turn in conversation.turns] == [None, 0.25]  # from 1.0 to 1.25
    assert [turn.usage for turn in conversation.turns] == [LoggedUsage(9, 4)] * 2
    assert {turn.isolation for turn in conversation.turns} == {Isolation(model="m")}
    assert list(conversation.turns[0].tools) == [TOOL]


@pytest.mark.parametrize(
    ("ends", "think_s", "counted"),
    [
        ((1.5, 9.0), 0.5, {"turns_with_think_time": 1}),
        ((2.0, 9.0), 0.0, {"turns_with_think_time": 1}),
        ((2.5, 9.0), None, {"overlapping_calls": 1}),
        ((0.5, 9.0), None, {"unusable_end_times": 1}),
        ((None, 9.0), None, {}),
    ],
)
def test_end_of_a_call_gives_the_think_time_of_the_next(
    tmp_path: Path, ends: tuple[float | None, float], think_s: float | None, counted: dict[str, int]
) -> None:
    rows = [
        {"messages": prompt, "response": completion(text), "start_time": 1 + n, "end_time": end}
        for n, (prompt, text, end) in enumerate(zip(PROMPTS, "ab", ends, strict=True))
    ]
    loaded = Chat(path=lines(tmp_path / "calls.jsonl", *rows), timestamp_unit="s").load()
    assert [turn.think_s for turn in only(loaded).turns] == [None, think_s]
    names = ("turns_with_think_time", "overlapping_calls", "unusable_end_times")
    assert {name: loaded.counts[name] for name in names if loaded.counts[name]} == counted


def test_end_of_a_call_that_is_no_time_is_refused(tmp_path: Path) -> None:
    row = {"messages": PROMPTS[0], "response": completion("a"), "start_time": 1.0, "end_time": "later"}
    with pytest.raises(DatasetError, match=r"line 1: field end_time is 'later', not a time"):
        Chat(path=lines(tmp_path / "calls.jsonl", row), timestamp_unit="s").load()


def test_langfuse_observations(tmp_path: Path) -> None:
    rows = [
        {"id": f"{n}", "trace_id": f"{n}", "type": "GENERATION", "session_id": "s",
         "start_time": f"2024-05-29 13:46:1{n}.500000", "provided_model_name": "m",
         "input": json.dumps(prompt), "output": json.dumps({"role": "assistant", "content": text})}
        for n, (prompt, text) in enumerate(zip(PROMPTS, "ab", strict=True))
    ]  # fmt: skip
    path = lines(tmp_path / "calls.jsonl", *reversed(rows))
    conversation = only(Chat(path=path, messages_field="input").load())
    assert (conversation.id, conversation.prompt_messages()) == ("s", [(U,), (U, A, V)])
    assert [turn.reply for turn in conversation.turns] == [A, B]
    assert [turn.timestamp_s for turn in conversation.turns] == [0.0, 1.0]
    wrapped = [
        row | {"input": json.dumps({"messages": prompt, "tools": [TOOL]})}
        for row, prompt in zip(rows, PROMPTS, strict=True)
    ]
    path = lines(tmp_path / "wrapped.jsonl", *wrapped)
    conversation = only(Chat(path=path, messages_field="input.messages", tools_field="input.tools").load())
    assert conversation.prompt_messages() == [(U,), (U, A, V)]
    assert list(conversation.turns[0].tools) == [TOOL]


def test_batch_files_joined_by_custom_id(tmp_path: Path) -> None:
    sent = [
        {
            "custom_id": f"{n}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": "m", "messages": prompt},
        }
        for n, prompt in enumerate(PROMPTS)
    ]
    given = [
        {"id": f"batch_req_{n}", "custom_id": f"{n}", "error": None,
         "response": {"status_code": 200, "request_id": "r", "body": completion(text)}}
        for n, text in enumerate("ab")
    ]  # fmt: skip
    alone = only(Chat(path=lines(tmp_path / "input.jsonl", *sent)).load())
    assert alone.prompt_messages() == [(U,), (U, A, V)]
    joined = [a | b for a, b in zip(sent, given, strict=True)]
    conversation = only(Chat(path=lines(tmp_path / "batch.jsonl", *joined)).load())
    assert conversation.prompt_messages() == [(U,), (U, A, V)]
    assert [turn.reply for turn in conversation.turns] == [A, B]
    assert [turn.usage for turn in conversation.turns] == [LoggedUsage(9, 4)] * 2


def test_claude_code_requests(tmp_path: Path) -> None:
    system = [{"type": "text", "text": "You are", "cache_control": {"type": "ephemeral"}}]
    call = {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "find", "input": {}}]}
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "found"}]}
    bodies = [
        {"model": "m", "max_tokens": 9, "system": system, "messages": messages,
         "tools": [{"name": "find", "input_schema": {"type": "object"}}],
         "metadata": {"user_id": json.dumps({"device_id": "d", "session_id": "s"})}}
        for messages in ([PROMPTS[0][0]], [PROMPTS[0][0], call, result])
    ]  # fmt: skip
    (tmp_path / "calls.json").write_text("".join(map(json.dumps, bodies)))  # as cat puts them: no line ends
    settings = {"rows": "request", "conversation_field": "metadata.user_id.session_id"}
    conversation = only(Chat(path=str(tmp_path / "calls.json"), **settings).load())  # type: ignore[arg-type]
    assert conversation.id == "s"
    first, second = conversation.prompt_messages()
    assert first == (Message("system", (Part("text", "You are"),)), U)
    assert second[:2] == first
    assert [message.role for message in second] == ["system", "user", "assistant", "tool"]
    assert conversation.turns[0].reply == second[2]
    assert list(conversation.turns[1].tools) == [TOOL]
