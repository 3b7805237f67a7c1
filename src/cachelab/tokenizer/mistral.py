"""Mistral's v3 Tekken vocabulary and chat template, as mistral-common bundles them."""

import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from pydantic.dataclasses import dataclass

from cachelab.conversation import TokenIds, TokenizedTurn, Turn
from cachelab.errors import TokenizerError
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

    def encode_chat(self, system: str | None, turns: Sequence[Turn]) -> list[TokenizedTurn]:
        """One TokenizedTurn a turn; each message is encoded once (with a system text, a later user message twice)."""
        start = _instruct().start()
        tokenized: list[TokenizedTurn] = []
        context_tokens = 0
        for turn in turns:
            alone_ids = _ids(start + _user_ids(system, turn.user))
            if not tokenized:
                new_ids = alone_ids
            elif system:
                new_ids = _ids(_user_ids(None, turn.user))
            else:
                new_ids = alone_ids[len(start) :]
            reply_ids = _ids(_reply_ids(turn.assistant))
            tokenized.append(TokenizedTurn(context_tokens, new_ids, reply_ids, alone_ids, turn.user, turn.assistant))
            context_tokens += len(new_ids) + len(reply_ids)
        return tokenized


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
