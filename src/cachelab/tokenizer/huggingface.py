"""A model's own tokenizer and chat template, through transformers."""

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator
from pydantic.dataclasses import dataclass

from cachelab.conversation import TokenIds, TokenizedTurn, Turn, common_prefix
from cachelab.errors import TokenizerError
from cachelab.model.hub import is_path, shortened, why_refused
from cachelab.strict_config import STRICT, FilePath, Text

TEMPLATE_DATE = datetime(2024, 7, 26)
"""What a template that asks for the date is told: a prompt must not depend on the day on which it was made."""

Message = dict[str, str]


def _given(model: object) -> object:
    if model is None:
        raise ValueError("give a model's folder or its id on the hub (the engine here has no model to follow)")
    return model


@dataclass(frozen=True, config=STRICT)
class HuggingFace:
    """The tokenizer and chat template of `model`, a folder or an id on the Hugging Face hub.

    `chat_template` is a jinja file that replaces the model's own template. A hub id is taken from the local Hugging
    Face cache, and downloaded if it is not there.
    """

    model: Annotated[Text, BeforeValidator(_given)]
    chat_template: FilePath | None = None
    trust_remote_code: bool = False

    @cached_property
    def name(self) -> str:
        """The model's name and a digest of its vocabulary, special tokens and chat template; loads the tokenizer."""
        vocabulary = _vocabulary_digest(self.model, self.trust_remote_code)
        rules = hashlib.sha256("\n".join([vocabulary, self._template, str(TEMPLATE_DATE)]).encode()).hexdigest()
        folder = Path(self.model)
        model = folder.resolve().name if folder.is_dir() else self.model
        return f"huggingface:{model}:{rules[:12]}"

    def encode_text(self, text: str) -> list[int]:
        """Token ids of plain text; no special token is added."""
        return self._encode([text])[0]

    def encode_chat(self, system: str | None, turns: Sequence[Turn]) -> list[TokenizedTurn]:
        """One TokenizedTurn a turn; the template renders each turn's whole history, as a server would.

        A reply is what the template adds to the prompt for it, up to its last end-of-sequence token; where the template
        rewrites the prompt too, it is the reply's own text and that token. Raises TokenizerError if the template cannot
        take the chat.
        """
        prompts, alone, closed = self._render_turns(system, turns)
        ids = self._encode(prompts + alone + closed + [turn.assistant for turn in turns])
        n = len(turns)
        tokenized: list[TokenizedTurn] = []
        context = _ids([])
        for i, turn in enumerate(turns):
            prompt = _ids(ids[i])
            reply = _ids(self._reply(ids[i], ids[2 * n + i], ids[3 * n + i]))
            kept = common_prefix(context, prompt)
            tokenized.append(TokenizedTurn(kept, prompt[kept:], reply, _ids(ids[n + i]), turn.user, turn.assistant))
            context = np.concatenate([prompt, reply])
        return tokenized

    def _render_turns(self, system: str | None, turns: Sequence[Turn]) -> tuple[list[str], list[str], list[str]]:
        """Of each turn: its prompt, its prompt without history, and its prompt with the reply."""
        head: list[Message] = [{"role": "system", "content": system}] if system else []
        history = list(head)
        prompts: list[str] = []
        alone: list[str] = []
        closed: list[str] = []
        for turn in turns:
            user = {"role": "user", "content": turn.user}
            history.append(user)
            prompts.append(self._render(history, generation=True))
            alone.append(self._render([*head, user], generation=True))
            history.append({"role": "assistant", "content": turn.assistant})
            closed.append(self._render(history, generation=False))
        return prompts, alone, closed

    def _render(self, messages: list[Message], generation: bool) -> str:
        tokenizer, template = self._tokenizer, self._template
        try:
            text: str = tokenizer.apply_chat_template(
                messages,
                chat_template=template,
                add_generation_prompt=generation,
                tokenize=False,
                strftime_now=TEMPLATE_DATE.strftime,
            )
        except Exception as error:  # a template can raise anything; it is the chat or the template that is wrong
            roles = "with" if messages[0]["role"] == "system" else "without"
            raise TokenizerError(
                f"tokenizer.model {self.model}: its chat template refuses a chat {roles} a system message "
                f"({shortened(error)}): set tokenizer.chat_template to a template that takes it"
            ) from error
        return text

    def _encode(self, texts: list[str]) -> list[list[int]]:
        if not texts:
            return []
        ids: list[list[int]] = self._tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
        return ids

    def _reply(self, prompt: list[int], closed: list[int], text: list[int]) -> list[int]:
        eos = self._tokenizer.eos_token_id
        if closed[: len(prompt)] != prompt:
            return text if eos is None else [*text, eos]
        tail = closed[len(prompt) :]
        return tail[: len(tail) - tail[::-1].index(eos)] if eos in tail else tail

    @cached_property
    def _template(self) -> str:
        if self.chat_template is not None:
            try:
                return Path(self.chat_template).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise TokenizerError(
                    f"tokenizer.chat_template {self.chat_template}: cannot be read ({shortened(error)}): give a file"
                ) from error
        try:
            template: str = self._tokenizer.get_chat_template()
        except ValueError as error:
            raise TokenizerError(
                f"tokenizer.model {self.model}: has no chat template: set tokenizer.chat_template to a jinja file, "
                "or take the model's instruct version"
            ) from error
        return template

    @property
    def _tokenizer(self) -> Any:
        return _load(self.model, self.trust_remote_code)


@lru_cache(maxsize=4)
def _load(model: str, trust_remote_code: bool) -> Any:
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise TokenizerError("tokenizer huggingface: needs transformers: install cachelab[hf]") from error

    folder = Path(model)
    local = folder.is_dir()
    try:
        return AutoTokenizer.from_pretrained(model, trust_remote_code=trust_remote_code, local_files_only=True)
    except Exception as error:  # transformers raises OSError, ValueError, KeyError, ... for a folder it cannot use
        if local:
            raise TokenizerError(
                f"tokenizer.model {model}: this folder holds no tokenizer that transformers can load "
                f"({shortened(error)}): give the folder of a downloaded model (tokenizer.json, tokenizer_config.json)"
            ) from error
    if is_path(model):
        raise TokenizerError(f"tokenizer.model {model}: no such folder: give a model's folder or its id on the hub")
    _ask_hub(model)
    try:
        return AutoTokenizer.from_pretrained(model, trust_remote_code=trust_remote_code)
    except Exception as error:
        raise TokenizerError(
            f"tokenizer.model {model}: cannot be loaded from the hub ({shortened(error)}): choose another model"
        ) from error


@lru_cache(maxsize=4)
def _vocabulary_digest(model: str, trust_remote_code: bool) -> str:
    tokenizer = _load(model, trust_remote_code)
    backend = getattr(tokenizer, "backend_tokenizer", None)
    vocabulary = backend.to_str() if backend is not None else json.dumps(tokenizer.get_vocab(), sort_keys=True)
    special = json.dumps({key: str(token) for key, token in tokenizer.special_tokens_map.items()}, sort_keys=True)
    return hashlib.sha256(f"{special}\n{vocabulary}".encode()).hexdigest()


def _ask_hub(model: str) -> None:
    if reason := why_refused(model):
        raise TokenizerError(
            f"tokenizer.model {model}: neither a folder nor in the local Hugging Face cache, and the hub does not "
            f"give it ({reason}): give a model's folder, or run `hf download {model}` where there is a "
            "network (and a login, if the model wants one)"
        )


def _ids(ids: list[int]) -> TokenIds:
    return np.asarray(ids, dtype=np.int32)
