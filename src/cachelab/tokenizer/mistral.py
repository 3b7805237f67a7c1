"""Mistral's v3 Tekken vocabulary and chat template, as mistral-common bundles them."""

import hashlib
import json
from collections.abc import Hashable, Sequence
from dataclasses import dataclass as plain_dataclass
from dataclasses import field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from cachelab.conversation import (
    NO_SPANS,
    TEMPLATE,
    TOOLS,
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
from cachelab.message import Message, Part, ToolCall, ToolDefinitions
from cachelab.strict_config import STRICT
from cachelab.tokenizer.media import MediaTokens
from cachelab.tokenizer.served_chat import served_tools

VOCABULARY = "tekken_240718.json"
CALL_ID_LENGTH = 9
"""Longer ids of tool calls are cut to their last characters, as in vLLM (`vllm/tokenizers/mistral.py`)."""


@dataclass(frozen=True, config=STRICT)
class Mistral:
    """mistral-common's v3 Tekken tokenizer; needs no network.

    System text and tool definitions stand before the FIRST user message. mistral-common's v3 puts them before the LAST
    one, where they would move with every turn, so that no prompt would be a prefix of the next. `alone_ids` keeps them,
    so that prompts with and without history differ by the history alone. mistral-common refuses an assistant's message
    with neither text nor calls, and one with both; here the first is the end-of-sequence token alone, and the second its
    text followed by its calls. Reasoning, which v3 does not have, is left out. Special-token text in a message ("[INST]",
    "</s>") is plain text, as in mistral-common. `image_tokens` is how many tokens an image or audio part takes; they
    stand where the part stands.
    """

    image_tokens: Annotated[int, Field(gt=0)] | None = None

    @property
    def name(self) -> str:
        """The vocabulary file's digest and what differs from mistral-common; does not load the vocabulary."""
        images = "" if self.image_tokens is None else f":image-tokens-{self.image_tokens}"
        return f"mistral-common:v3-tekken:system-first:{_vocabulary_digest()[:12]}{images}"

    def encode_text(self, text: str) -> list[int]:
        """Token ids of plain text; no special token is added."""
        ids: list[int] = _instruct().tokenizer.encode(text, bos=False, eos=False)
        return ids

    def encode_chat(self, conversation: Conversation) -> list[TokenizedTurn]:
        """One TokenizedTurn per turn; each message is encoded once.

        Raises TokenizerError if a tool definition has no name, or a part has no number of tokens.
        """
        encoder = _Encoder(self.image_tokens)
        tokenized: list[TokenizedTurn] = []
        context, context_spans = _ids([]), NO_SPANS
        for turn, messages in zip(conversation.turns, conversation.prompt_messages(), strict=True):
            prompt, spans = encoder.prompt(messages, turn.tools)
            reply = _ids(encoder.message(turn.reply)) if turn.reply else _ids([])
            kept = common_prefix(context, prompt)
            places = messages_alone(messages)
            alone, alone_spans = None, NO_SPANS
            if places is not None:
                alone, alone_spans = encoder.prompt([messages[place] for place in places], turn.tools)
            stored = new_spans(context_spans, spans)
            tokenized.append(
                TokenizedTurn(kept, prompt[kept:], reply, alone, stored, alone_spans, **of_turn(turn))
            )
            context = np.concatenate([prompt, reply])
            context_spans = with_reply(spans, len(prompt), len(messages))
        return tokenized


@plain_dataclass(eq=False)
class _Encoder:
    """Encodes the messages of one conversation, each one once."""

    image_tokens: int | None
    known: dict[Hashable, list[int]] = field(default_factory=dict)
    tools: dict[int, list[int]] = field(default_factory=dict)

    def prompt(self, messages: Sequence[Message], tools: ToolDefinitions) -> tuple[TokenIds, Spans]:
        """The ids of a prompt and its spans; the system text is a part of the first user message."""
        ids: list[int] = list(_instruct().start())
        rows = [(0, TEMPLATE)]
        before_user = self._tools(tools)
        system: list[tuple[int, str]] = []
        for index, message in enumerate(messages):
            if message.role in ("system", "developer"):
                if message.text:
                    system.append((index, message.text))
                continue
            if message.role == "user":
                if before_user:
                    rows.append((len(ids), TOOLS))
                    ids += before_user
                made, own = self._user(message, system)
                rows += [(len(ids) + at, index if place is None else place) for at, place in own]
                ids += made
                before_user, system = [], []
            else:
                rows.append((len(ids), index))
                ids += self.message(message)
        return _ids(ids), np.asarray(rows, np.int32)

    def message(self, message: Message) -> list[int]:
        """The ids of a message of the assistant or a tool."""
        key = ("message", id(message))  # the conversation keeps its messages alive
        if key not in self.known:
            self.known[key] = _tool_result(message) if message.role in ("tool", "function") else _assistant(message)
        return self.known[key]
