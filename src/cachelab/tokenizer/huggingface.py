"""A model's own tokenizer and chat template, through transformers."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import field
from datetime import datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic.dataclasses import dataclass

from cachelab.conversation import Conversation
from cachelab.error_format import reason
from cachelab.errors import ConfigError, TokenizerError
from cachelab.message import Message, Part
from cachelab.model.hub import cached_folder, is_path, why_refused
from cachelab.strict_config import STRICT, FilePath, Text
from cachelab.tokenized_conversation import TokenizedTurn
from cachelab.tokenizer.content_format import ContentFormat, content_format
from cachelab.tokenizer.file_tokenizer import FileTokenizer, file_tokenizer
from cachelab.tokenizer.media import MediaTokens
from cachelab.tokenizer.model_files import ModelFiles
from cachelab.tokenizer.pieces import PieceEncoder
from cachelab.tokenizer.rendered_chat import Prompt, encode_rendered
from cachelab.tokenizer.served_chat import ServedMessage, for_template, served_message

TEMPLATE_DATE = datetime(2024, 7, 26)
"""The date that templates get. It is fixed, so that prompts do not depend on the day of the run."""

RESERVED = ("messages", "tools", "chat_template", "tokenize", "add_generation_prompt", "continue_final_message")
"""Variables of a template that cachelab sets itself."""


def _given(model: object) -> object:
    if model is None:
        raise ValueError("give a model's folder or its id on the hub (the engine here has no model to follow)")
    return model


@dataclass(frozen=True, config=STRICT)
class HuggingFace:
    """The tokenizer and chat template of `model`, a folder or an id on the Hugging Face hub.

    `chat_template` is a jinja file that replaces the model's own template. A hub id is taken from the local Hugging
    Face cache, and downloaded if it is not there. Messages and tools are rendered as vLLM's server renders them;
    `template_kwargs` are further variables of the template, such as enable_thinking (vLLM's
    --default-chat-template-kwargs).
    `image_tokens` is how many tokens an image or audio part takes; they stand where the part stands.
    """

    model: Annotated[Text, BeforeValidator(_given)]
    chat_template: FilePath | None = None
    trust_remote_code: bool = False
    template_kwargs: dict[str, Any] = field(default_factory=dict)
    image_tokens: Annotated[int, Field(gt=0)] | None = None

    def __post_init__(self) -> None:
        if taken := next((name for name in RESERVED if name in self.template_kwargs), None):
            raise ConfigError(f"tokenizer.template_kwargs.{taken}: cachelab sets it itself: leave it out")

    @cached_property
    def name(self) -> str:
        """The model's name and a digest of everything on which token ids depend.

        The digest is made of the model's files. A tokenizer is loaded only if they do not determine its tokens: with
        code of the model, or where there is no tokenizer.json.
        """
        files = self._files
        if files is None or not files.complete:
            loader, vocabulary = "transformers", _vocabulary_digest(self.model, self.trust_remote_code)
            templates = [self._template(None), self._template([{}])]
        else:
            loader = "transformers" if _own(files) is None else "tokenizers"
            vocabulary, templates = files.digest, [self._own_template or ""]
            if self._own_template is None and not files.has_template:
                self._template(None)  # gives one, or the reason why there is none
        parts = [loader, vocabulary, *templates, str(TEMPLATE_DATE)]
        if self.template_kwargs:
            parts.append(json.dumps(self.template_kwargs, sort_keys=True, default=str))
        if self.image_tokens is not None:
            parts.append(str(self.image_tokens))
        place = Path(self.model)
        model = place.resolve().name if place.is_dir() else self.model
        return f"huggingface:{model}:{hashlib.sha256(chr(10).join(parts).encode()).hexdigest()[:12]}"

    def encode_text(self, text: str) -> list[int]:
        """Token ids of plain text; no special token is added."""
        ids: list[int] = self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return text

    def encode_chat(self, conversation: Conversation) -> list[TokenizedTurn]:
        """One TokenizedTurn per turn: the tokens of what the template makes of each turn's whole history.

        A reply is what the template adds to the prompt for it, up to its last end-of-sequence token; where the template
        rewrites the prompt too, it is the reply's own place in the text. Raises TokenizerError if the template cannot
        take the chat.
        """
        served: dict[tuple[int, ContentFormat], ServedMessage] = {}

        def made(message: Message, form: ContentFormat) -> ServedMessage:
            key = (id(message), form)  # the conversation keeps its messages alive
            if key not in served:
                served[key] = served_message(message, form, self._media_text)
            return served[key]

        def prompt(messages: Sequence[Message], tools: Sequence[Any] | None, generation: bool) -> Prompt:
            template = self._template(tools)
            form = content_format(template)

            def render(served: list[ServedMessage], generation: bool) -> str:
                return self._render(for_template(served, template), tools, generation)

            return Prompt([made(message, form) for message in messages], tools, generation, render)

        return encode_rendered(conversation, prompt, self._encoder, self._tokenizer.eos_token_id)

    def _render(self, messages: list[ServedMessage], tools: Sequence[Any] | None, generation: bool) -> str:
        tokenizer, template = self._tokenizer, self._template(tools)
        try:
            text: str = tokenizer.apply_chat_template(
                messages,
                tools=tools,
                chat_template=template,
                add_generation_prompt=generation,
                continue_final_message=False,
                tokenize=False,
                **{"strftime_now": TEMPLATE_DATE.strftime, **self.template_kwargs},
            )
        except Exception as error:  # a template can raise any exception
            roles = "with" if messages and messages[0]["role"] == "system" else "without"
            raise TokenizerError(
                f"tokenizer.model {self.model}: its chat template refuses a chat {roles} a system message "
                f"({reason(error)}): set tokenizer.chat_template to a template that takes it"
            ) from error
        return text

    def _media_text(self, part: Part) -> str:
        ids = MediaTokens(self.image_tokens, 0, self._tokenizer.vocab_size).ids(part)
        return self._encoder.media_text(hashlib.sha256(f"{part.kind}:{part.digest}".encode()).hexdigest(), ids)

    @cached_property
    def _encoder(self) -> PieceEncoder:
        return PieceEncoder(self._tokenizer)

    @cached_property
    def _own_template(self) -> str | None:
        if self.chat_template is None:
            return None
        try:
            return Path(self.chat_template).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise TokenizerError(
                f"tokenizer.chat_template {self.chat_template}: cannot be read ({reason(error)}): give a file"
            ) from error

    def _template(self, tools: Sequence[Any] | None) -> str:
        """The template for a request; a model may have a separate one for requests with tools."""
        if self._own_template is not None:
            return self._own_template
        try:
            template: str = self._tokenizer.get_chat_template(tools=tools)
        except ValueError as error:
            raise TokenizerError(
                f"tokenizer.model {self.model}: has no chat template: set tokenizer.chat_template to a jinja file, "
                "or take the model's instruct version"
            ) from error
        return template

    @property
    def _tokenizer(self) -> Any:
        """A FileTokenizer where its tokens are certain to be those of transformers, else that of transformers."""
        own = None if self._files is None else _own(self._files)
        return _load(self.model, self.trust_remote_code, self._files) if own is None else own

    @cached_property
    def _files(self) -> ModelFiles | None:
        """The model's files, if they alone decide its tokens."""
        folder = None if self.trust_remote_code else _folder(self.model)
        return None if folder is None else ModelFiles.of(folder)


@lru_cache(maxsize=4)
def _own(files: ModelFiles) -> FileTokenizer | None:
    return file_tokenizer(files.folder)


def _folder(model: str) -> Path | None:
    """The model's folder, given or in the local Hugging Face cache; None if there is none."""
    if Path(model).is_dir() or is_path(model):
        return Path(model) if Path(model).is_dir() else None
    try:
        return cached_folder(model)
    except ValueError:  # not the form of an id
        return None


@lru_cache(maxsize=4)
def _load(model: str, trust_remote_code: bool, files: ModelFiles | None = None) -> Any:
    """The tokenizer of transformers. `files` are part of the cache's key: changed files are loaded again."""
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
                f"({reason(error)}): give the folder of a downloaded model (tokenizer.json, tokenizer_config.json)"
            ) from error
    if is_path(model):
        raise TokenizerError(f"tokenizer.model {model}: no such folder: give a model's folder or its id on the hub")
    _ask_hub(model)
    try:
        return AutoTokenizer.from_pretrained(model, trust_remote_code=trust_remote_code)
    except Exception as error:
        raise TokenizerError(
            f"tokenizer.model {model}: cannot be loaded from the hub ({reason(error)}): choose another model"
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
