"""Token ids of texts, replies, tool results and tool definitions, from mistral-common's v3 Tekken tokenizer."""

import hashlib
import json
from collections.abc import Sequence
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cachelab.errors import TokenizerError
from cachelab.message import Message, Part, ToolCall

VOCABULARY = "tekken_240718.json"
CALL_ID_LENGTH = 9
"""Longer ids of tool calls are cut to their last characters, as in vLLM (`vllm/tokenizers/mistral.py`)."""


@cache
def instruct() -> Any:
    """The tokenizer of mistral-common that encodes messages."""
    from mistral_common.tokens.tokenizers.mistral import MistralTokenizer

    return MistralTokenizer.from_file(str(_vocabulary())).instruct_tokenizer


@cache
def vocabulary_digest() -> str:
    """SHA-256 of the vocabulary file, which is not loaded. Raises TokenizerError if mistral-common is not installed."""
    return hashlib.sha256(_vocabulary().read_bytes()).hexdigest()


def _vocabulary() -> Path:
    spec = find_spec("mistral_common")  # finds the file without importing the package
    folders = (spec.submodule_search_locations if spec else None) or []
    for path in (Path(folder, "data", VOCABULARY) for folder in folders):
        if path.is_file():
            return path
    raise TokenizerError(
        f"tokenizer mistral: mistral-common with its {VOCABULARY} is not installed: install cachelab again"
    )


def text_ids(text: str) -> list[int]:
    """The ids of plain text; no special token is added."""
    ids: list[int] = instruct().tokenizer.encode(text, bos=False, eos=False) if text else []
    return ids


def decoded(ids: Sequence[int]) -> str:
    """The text of token ids, special tokens included; U+FFFD where they are a part of a character."""
    from mistral_common.tokens.tokenizers.base import SpecialTokenPolicy

    text: str = instruct().tokenizer.decode(list(map(int, ids)), special_token_policy=SpecialTokenPolicy.KEEP)
    return text


def assistant_ids(message: Message) -> list[int]:
    """The ids of a reply; text and calls are encoded as two messages, the first one without its end token.

    Raises TokenizerError for an image or audio part.
    """
    from mistral_common.protocol.instruct.messages import AssistantMessage

    if media_parts(message):
        raise TokenizerError(
            "tokenizer mistral: a message of the assistant holds an image or audio part, which its template does not "
            "have: take tokenizer=huggingface"
        )
    encoder = instruct()
    ids: list[int] = []
    if message.text:
        ids = encoder.encode_assistant_message(AssistantMessage(content=message.text), False)[:-1]
    if message.tool_calls:
        calls = [_tool_call(call) for call in message.tool_calls]
        return ids + list(encoder.encode_assistant_message(AssistantMessage(tool_calls=calls), False))
    return [*ids, encoder.tokenizer.eos_id]


def tool_result_ids(message: Message) -> list[int]:
    """The ids of a tool's result without its media parts."""
    from mistral_common.protocol.instruct.messages import ToolMessage

    made = ToolMessage(content=message.text or "{}", tool_call_id=_call_id(message.tool_call_id))
    ids: list[int] = instruct().encode_tool_message(made, False)[0]
    return ids


@lru_cache(maxsize=64)
def tool_ids(served: str) -> list[int]:
    """The ids of tool definitions, given as JSON."""
    from mistral_common.protocol.instruct.messages import UserMessage
    from mistral_common.protocol.instruct.tool_calls import Function, Tool

    tools = [Tool(function=Function.from_openai(tool["function"])) for tool in json.loads(served)]
    encoder = instruct()
    ids: list[int] = encoder.encode_user_message(UserMessage(content=""), tools, is_last=True, is_first=True)[0]
    return ids[: ids.index(encoder.END_AVAILABLE_TOOLS) + 1]


def media_parts(message: Message) -> list[Part]:
    """The image and audio parts of a message."""
    content = message.content if isinstance(message.content, tuple) else ()
    return [part for part in content if part.kind != "text"]


def _tool_call(call: ToolCall) -> Any:
    from mistral_common.protocol.instruct.tool_calls import FunctionCall
    from mistral_common.protocol.instruct.tool_calls import ToolCall as MistralCall

    return MistralCall(id=_call_id(call.id), function=FunctionCall(name=call.name, arguments=call.arguments or "{}"))


def _call_id(given: str | None) -> str:
    return given[-CALL_ID_LENGTH:] if given else "null"  # mistral-common writes this for a missing id
