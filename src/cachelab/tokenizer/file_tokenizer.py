"""A model's tokenizer.json, without transformers, whose import takes several seconds.

transformers chooses a class by the model's files, and many classes change what tokenizer.json says. Only where it
would use the file as it is (`TokenizersBackend`), `file_tokenizer` gives a tokenizer. Source: transformers 5.19,
`AutoTokenizer`, `PreTrainedTokenizerBase._from_pretrained` and `TokenizersBackend.__init__`. Tests compare the tokens.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cachelab.tokenizer.chat_template import compiled
from cachelab.tokenizer.model_files import chat_template, json_object

if TYPE_CHECKING:
    from tokenizers import AddedToken
    from tokenizers import Tokenizer as Backend

TRANSFORMERS = "5.19."
"""The version whose rules are below. With another one every model is left to transformers."""

UNCHANGED_TYPES = frozenset(
    {
        "arctic", "deepseek_v2", "deepseek_v3", "ernie4_5", "ernie4_5_moe", "glm", "glm4", "glm4_moe", "glm4_moe_lite",
        "gpt_bigcode", "granite", "granitemoe", "granitemoehybrid", "jamba", "minimax_m2", "nemotron", "olmo2", "olmo3",
        "phi3", "phimoe", "stablelm",
    }
)  # fmt: skip
"""Values of config.json's `model_type` with which transformers uses the file as it is, whatever class is named."""

GENERIC_TYPES = frozenset({"exaone4", "falcon", "gpt_oss", "llama", "llama4", "mllama", "nemotron_h", "smollm3"})
"""The same, if one of GENERIC_CLASSES is named. A model without config.json is also of this kind."""

GENERIC_CLASSES = frozenset({"PreTrainedTokenizerFast", "TokenizersBackend"})

NAMED = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
"""The special tokens that a chat template gets as variables, in transformers' order."""

CHANGES_TOKENS = (
    "add_prefix_space", "auto_map", "fast_tokenizer_files", "fix_mistral_regex", "init_inputs", "split_special_tokens",
)  # fmt: skip
"""Fields of tokenizer_config.json that are left to transformers if they are set."""


@dataclass(frozen=True)
class FileTokenizer:
    """The tokenizer of a tokenizer.json file. Its methods and results are those of a fast tokenizer of transformers."""

    file: Path
    special_tokens_map: Mapping[str, str]
    template: str | dict[str, str] | None

    is_fast = True

    @cached_property
    def backend(self) -> "Backend":
        """Read on first use."""
        from tokenizers import Tokenizer as Backend

        backend: Backend = Backend.from_file(str(self.file))
        return backend

    def __call__(self, texts: str | list[str], *, add_special_tokens: bool, **_: Any) -> dict[str, Any]:
        """`input_ids` and `offset_mapping` of one text, or one of each per text."""
        made = self.backend.encode_batch([texts] if isinstance(texts, str) else texts, add_special_tokens)
        ids, offsets = [one.ids for one in made], [one.offsets for one in made]
        if isinstance(texts, str):
            return {"input_ids": ids[0], "offset_mapping": offsets[0]}
        return {"input_ids": ids, "offset_mapping": offsets}

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = False, **_: Any) -> str:
        text: str = self.backend.decode(list(ids), skip_special_tokens=skip_special_tokens)
        return text

    @property
    def eos_token_id(self) -> int | None:
        eos = self.special_tokens_map.get("eos_token")
        number: int | None = None if eos is None else self.backend.token_to_id(eos)
        return number

    @property
    def vocab_size(self) -> int:
        """The number of tokens without the added ones."""
        size: int = self.backend.get_vocab_size(with_added_tokens=False)
        return size

    @property
    def added_tokens_decoder(self) -> "dict[int, AddedToken]":
        found: dict[int, AddedToken] = self.backend.get_added_tokens_decoder()
        return found

    def get_chat_template(self, tools: Sequence[Any] | None = None) -> str:
        """Raises ValueError if there is none."""
        if isinstance(self.template, str):
            return self.template
        named = self.template or {}
        name = "tool_use" if tools is not None and "tool_use" in named else "default"
        if name not in named:
            raise ValueError(f"there is no {name} chat template")
        return named[name]

    def apply_chat_template(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Any] | None,
        chat_template: str,
        add_generation_prompt: bool,
        continue_final_message: bool = False,
        tokenize: bool = False,
        **variables: Any,
    ) -> str:
        """The prompt as text. Raises what the template raises, and ValueError for an empty chat."""
        if not messages or continue_final_message or tokenize:
            raise ValueError("a chat without messages")
        return compiled(chat_template).render(
            messages=messages,
            tools=tools,
            documents=None,
            add_generation_prompt=add_generation_prompt,
            **{**self.special_tokens_map, **variables},
        )


def file_tokenizer(folder: Path) -> FileTokenizer | None:
    """The tokenizer of a model's folder; None if only transformers can say what its tokens are. Raises OSError."""
    config = json_object(folder / "tokenizer_config.json")
    if config is None or not _installed() or not _class_is_plain(folder, config):
        return None
    if any(config.get(field) for field in CHANGES_TOKENS) or "special_tokens_map" in config:
        return None
    content = json_object(folder / "tokenizer.json")
    if content is None or content.get("truncation") or content.get("padding"):
        return None
    named = _named_tokens(folder, config)
    added = {token["content"]: token for token in content.get("added_tokens", ())}
    if named is None or not _adds_nothing(config, named, added):
        return None
    texts = {name: named[name] for name in NAMED if name in named}
    return FileTokenizer(folder / "tokenizer.json", texts, chat_template(folder, config))


def _installed() -> bool:
    try:
        return metadata.version("transformers").startswith(TRANSFORMERS)
    except metadata.PackageNotFoundError:
        return False


def _class_is_plain(folder: Path, config: Mapping[str, Any]) -> bool:
    """Whether transformers chooses TokenizersBackend."""
    named = config.get("tokenizer_class")
    if not isinstance(named, str):
        return False
    if not (folder / "config.json").exists():
        return named in GENERIC_CLASSES
    model = json_object(folder / "config.json")
    kind = None if model is None else model.get("model_type")
    return kind in UNCHANGED_TYPES or (kind in GENERIC_TYPES and named in GENERIC_CLASSES)


def _named_tokens(folder: Path, config: Mapping[str, Any]) -> dict[str, str] | None:
    """The special tokens by name; None for a form that is left to transformers.

    special_tokens_map.json counts only if tokenizer_config.json does not list the added tokens.
    """
    fields = {key: value for key, value in config.items() if key.endswith("_token") and not isinstance(value, bool)}
    if "added_tokens_decoder" not in config:
        if (folder / "added_tokens.json").exists():
            return None
        of_map = json_object(folder / "special_tokens_map.json") or {}
        fields |= {key: value for key, value in of_map.items() if key.endswith("_token")}
        if any(not key.endswith("_token") for key in of_map):
            return None
    found: dict[str, str] = {}
    for key, value in fields.items():
        text = value.get("content") if isinstance(value, Mapping) else value
        if value is None:
            continue
        if key not in NAMED or not isinstance(text, str):
            return None  # a special token of the model's own
        found[key] = text
    return found


def _adds_nothing(config: Mapping[str, Any], named: Mapping[str, str], added: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether transformers would add no token to those of tokenizer.json and change none of them."""
    extra = [*(config.get("extra_special_tokens") or ()), *(config.get("additional_special_tokens") or ())]
    if not all(isinstance(token, str) for token in extra) or isinstance(config.get("extra_special_tokens"), Mapping):
        return False
    special = {text for text, token in added.items() if token.get("special") and not token.get("normalized")}
    if not special.issuperset([*named.values(), *extra]):
        return False
    listed = config.get("added_tokens_decoder") or {}
    for number, token in listed.items():
        own = added.get(token.get("content"))
        if own is None or own != {"id": int(number), **_FLAGS, **token}:
            return False
    return True


_FLAGS = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": True, "special": False}
"""The flags of an added token that are not given."""
