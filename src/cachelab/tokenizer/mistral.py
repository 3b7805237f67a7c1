"""Mistral's v3 Tekken vocabulary and chat template, as mistral-common bundles them."""

import hashlib
import logging
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from cachelab.conversation import (
    NO_SPANS,
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
from cachelab.strict_config import STRICT
from cachelab.tokenizer.mistral_messages import MistralEncoder

log = logging.getLogger(__name__)

VOCABULARY = "tekken_240718.json"


@dataclass(frozen=True, config=STRICT)
class Mistral:
    """mistral-common's v3 Tekken tokenizer; needs no network.

    The system text and the tool definitions stand before the FIRST user message. mistral-common's v3 puts them before
    the LAST one, where they would move with every turn, so that no prompt would be a prefix of the next. In two more
    cases mistral-common refuses what logs hold: a reply with content and tool calls is the content, then the calls (as
    its v7 does it), and an empty reply is the end-of-sequence token alone. The rest is mistral-common's: neighbours of
    one role are one message, special-token text ("[INST]", "</s>") is plain text. As in vLLM, a call's id is its last
    nine characters. Developer messages are system messages; reasoning has no place in v3 and is left out.

    `alone_ids` keeps the system text, so that prompts with and without history differ by the history alone.
    `image_tokens` is how many tokens an image or audio part of a user message takes.
    """

    image_tokens: Annotated[int, Field(gt=0)] | None = None

    @property
    def name(self) -> str:
        """The vocabulary file's digest and the place of the system text; does not load the vocabulary."""
        images = f":images-{self.image_tokens}" if self.image_tokens is not None else ""
        return f"mistral-common:v3-tekken:system-first:{_vocabulary_digest()[:12]}{images}"

    def encode_text(self, text: str) -> list[int]:
        """Token ids of plain text; no special token is added."""
        ids: list[int] = _instruct().tokenizer.encode(text, bos=False, eos=False)
        return ids

    def encode_chat(self, conversation: Conversation) -> list[TokenizedTurn]:
        """One TokenizedTurn per turn; each message is encoded once. Raises TokenizerError for a prompt of no message."""
        encoder = MistralEncoder(_instruct(), self.image_tokens)
        alone: dict[tuple[int, ...], tuple[TokenIds, Spans]] = {}
        tokenized: list[TokenizedTurn] = []
        context, context_spans = np.empty(0, np.int32), NO_SPANS
        for index, (turn, messages) in enumerate(zip(conversation.turns, conversation.prompt_messages(), strict=True)):
            if not messages:
                raise TokenizerError(f"turn {index} has no message before its reply: leave it out of the log")
            prompt, spans = encoder.prompt(messages, turn.tools)
            places = messages_alone(messages)
            key = (id(turn.tools), *(id(messages[place]) for place in places or ()))
            if places and key not in alone:
                alone[key] = encoder.prompt([messages[place] for place in places], turn.tools)
            reply = np.empty(0, np.int32) if turn.reply is None else encoder.reply(turn.reply)
            kept = common_prefix(context, prompt)
            tokenized.append(
                TokenizedTurn(
                    kept_tokens=kept,
                    new_ids=prompt[kept:],
                    reply_ids=reply,
                    alone_ids=alone[key][0] if places else None,
                    new_spans=new_spans(context_spans, spans),
                    alone_spans=alone[key][1] if places else NO_SPANS,
                    **of_turn(turn),
                )
            )
            context = np.concatenate([prompt, reply])
            context_spans = with_reply(spans, len(prompt), len(messages))
        if encoder.reasoning:
            log.warning(
                "tokenizer mistral: conversation %s: reasoning of %d messages left out, its template has no place for it",
                conversation.id,
                len(encoder.reasoning),
            )
        return tokenized


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
