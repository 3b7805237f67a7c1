"""Mistral's v3 Tekken vocabulary and chat template, as mistral-common bundles them."""

import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from pydantic.dataclasses import dataclass

from cachelab.conversation import (
    NO_SPANS,
    TEMPLATE,
    Conversation,
    Spans,
    TokenIds,
    TokenizedTurn,
    common_prefix,
    messages_alone,
    new_spans,
    of_turn,
    with_reply,
)
from cachelab.errors import TokenizerError
from cachelab.message import Message
from cachelab.strict_config import STRICT

VOCABULARY = "tekken_240718.json"


@dataclass(frozen=True, config=STRICT)
class Mistral:
    """mistral-common's v3 Tekken tokenizer; needs no network.

    The system text stands before the FIRST user message. mistral-common's v3 puts it before the LAST one, where it
    would move with every turn, so that no prompt would be a prefix of the next; this is the only difference to it.
    `alone_ids` keeps the system text, so that prompts with and without history differ by the history alone. An empty
    reply, which mistral-common refuses, is the end-of-sequence token alone. Special-token text in a
    message ("[INST]", "</s>") is plain text, as in mistral-common.
    """

    @property
    def name(self) -> str:
        """The vocabulary file's digest and the place of the system text; does not load the vocabulary."""
        return f"mistral-common:v3-tekken:system-first:{_vocabulary_digest()[:12]}"

    def encode_text(self, text: str) -> list[int]:
        """Token ids of plain text; no special token is added."""
        ids: list[int] = _instruct().tokenizer.encode(text, bos=False, eos=False)
        return ids

    def encode_chat(self, conversation: Conversation) -> list[TokenizedTurn]:
        """One TokenizedTurn per turn; each message is encoded once.

        Raises TokenizerError if a message is not text of the system, the user or the assistant.
        """
        tokenized: list[TokenizedTurn] = []
        known: dict[tuple[str, str, str | None], list[int]] = {}
        context, context_spans = _ids([]), NO_SPANS
        for turn, messages in zip(conversation.turns, conversation.prompt_messages(), strict=True):
            prompt, spans = _prompt(messages, known)
            reply = _ids(_message_ids(turn.reply, None, known) if turn.reply else [])
            kept = common_prefix(context, prompt)
            places = messages_alone(messages)
            alone, alone_spans = (None, NO_SPANS) if places is None else _prompt([messages[i] for i in places], known)
            tokenized.append(
                TokenizedTurn(
                    kept, prompt[kept:], reply, alone, new_spans(context_spans, spans), alone_spans, **of_turn(turn)
                )
            )
            context = np.concatenate([prompt, reply])
            context_spans = with_reply(spans, len(prompt), len(messages))
        return tokenized


def _prompt(messages: Sequence[Message], known: dict[tuple[str, str, str | None], list[int]]) -> tuple[TokenIds, Spans]:
    """The ids of a prompt and its spans; the system text is a part of the first user message."""
    ids: list[int] = list(_instruct().start())
    spans = [(0, TEMPLATE)]
    system: str | None = None
    for index, message in enumerate(messages):
        if message.role == "system":
            system = message.text if system is None else f"{system}\n\n{message.text}"
            continue
        spans.append((len(ids), index))
        ids += _message_ids(message, system if message.role == "user" else None, known)
        system = None if message.role == "user" else system
    return _ids(ids), np.asarray(spans, np.int32)


def _message_ids(
    message: Message, system: str | None, known: dict[tuple[str, str, str | None], list[int]]
) -> list[int]:
    if message.role not in ("user", "assistant") or message.tool_calls or not isinstance(message.content, str):
        raise TokenizerError("tokenizer mistral: messages must be text of the system, the user or the assistant")
    key = (message.role, message.content, system)
    if key not in known:
        known[key] = _user_ids(system, message.content) if message.role == "user" else _reply_ids(message.content)
    return known[key]


def _user_ids(system: str | None, text: str) -> list[int]:
    from mistral_common.protocol.instruct.messages import UserMessage

    # is_last is what makes v3 put the system text here.
    ids: list[int] = _instruct().encode_user_message(
        UserMessage(content=text), available_tools=None, is_last=True, is_first=True, system_prompt=system or None
    )[0]
    return ids


def _reply_ids(text: str) -> list[int]:
    from mistral_common.protocol.instruct.messages import AssistantMessage

    if not text:  # mistral-common refuses it; a model that ends at once makes this token
        return [_instruct().tokenizer.eos_id]
    ids: list[int] = _instruct().encode_assistant_message(AssistantMessage(content=text), False)
    return ids


def _ids(ids: list[int]) -> TokenIds:
    return np.asarray(ids, dtype=np.int32)


def _vocabulary() -> Path:
    spec = find_spec("mistral_common")  # finds the file without importing the package
    folders = (spec.submodule_search_locations if spec else None) or []
    for path in (Path(folder, "data", VOCABULARY) for folder in folders):
        if path.is_file():
            return path
    raise TokenizerError(
        f"tokenizer mistral: mistral-common with its {VOCABULARY} is not installed: install cachelab again"
    )


@cache
def _vocabulary_digest() -> str:
    return hashlib.sha256(_vocabulary().read_bytes()).hexdigest()


@cache
def _instruct() -> Any:
    from mistral_common.tokens.tokenizers.mistral import MistralTokenizer

    return MistralTokenizer.from_file(str(_vocabulary())).instruct_tokenizer
