"""A workload with its causes undone, as rows that `dataset=chat` or `dataset=text_log` reads."""

from collections.abc import Iterator, Sequence
from typing import Any

from cachelab.message import Isolation, Message, Part
from cachelab.tokenized_conversation import TokenizedConversation, TokenizedTurn
from cachelab.turn import RecordedTurn, Turn

_EPOCH_S = 1_600_000_000
"""What times count from in the rows: a chat log's numbers are recognised as times if they are dates."""


def fixed_rows(conversations: Sequence[TokenizedConversation]) -> Iterator[dict[str, Any]]:
    """One row per request, conversation by conversation.

    Of messages: API calls as `dataset=chat dataset.rows=request` reads them, with tools, response, model, LoRA, salt
    and the fields of the source that were read. Of finished prompts: the rows of `dataset=text_log`. Times are in
    seconds; where the source has none, requests are one second apart. An image or audio part is named by its digest,
    since the workload does not hold its data.
    """
    number = 0
    for conversation in conversations:
        for turn, messages in zip(conversation.turns, conversation.prompt_messages(), strict=True):
            seconds = _EPOCH_S + (float(number) if turn.timestamp_s is None else turn.timestamp_s)
            number += 1
            if isinstance(turn.turn, RecordedTurn):
                yield {
                    "timestamp": seconds,
                    "session_id": conversation.id,
                    "input": turn.turn.prompt,
                    "output": turn.turn.response,
                }
            elif isinstance(turn.turn, Turn):
                yield _call(conversation.id, turn, turn.turn, messages, seconds)


def _call(id: str, turn: TokenizedTurn, logged: Turn, messages: Sequence[Message], seconds: float) -> dict[str, Any]:
    row: dict[str, Any] = {"session_id": id, "timestamp": seconds, **turn.fields, **_isolation(turn.isolation)}
    row["messages"] = [_message(message) for message in messages]
    if logged.tools:
        row["tools"] = list(logged.tools)
    if logged.reply is not None:
        row["response"] = _message(logged.reply)
    return row


def _isolation(isolation: Isolation | None) -> dict[str, str]:
    if isolation is None:
        return {}
    values = {"model": isolation.model, "lora_name": isolation.lora, "cache_salt": isolation.cache_salt}
    return {name: value for name, value in values.items() if value is not None}


def _message(message: Message) -> dict[str, Any]:
    """The message as OpenAI's API has it."""
    content: Any = message.content
    if isinstance(content, tuple):
        content = [_part(part) for part in content]
    row: dict[str, Any] = {"role": message.role, "content": content}
    if message.tool_calls:
        row["tool_calls"] = [
            {"type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            | ({"id": call.id} if call.id is not None else {})
            for call in message.tool_calls
        ]
    given = {"tool_call_id": message.tool_call_id, "name": message.name, "reasoning_content": message.reasoning}
    return row | {key: value for key, value in given.items() if value is not None}


def _part(part: Part) -> dict[str, Any]:
    if part.kind == "text":
        return {"type": "text", "text": part.text}
    kind = "image_url" if part.kind == "image" else "audio_url"
    return {"type": kind, kind: {"url": f"sha256:{part.digest}"}}
