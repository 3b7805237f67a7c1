"""tokenizer.json read without transformers, against what transformers makes of the same files."""

import json
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachelab.conversation import Conversation
from cachelab.dataset.sample import Sample
from cachelab.errors import TokenizerError
from cachelab.tokenizer import file_tokenizer as module
from cachelab.tokenizer.file_tokenizer import (
    GENERIC_CLASSES,
    GENERIC_TYPES,
    UNCHANGED_TYPES,
    FileTokenizer,
    file_tokenizer,
)
from cachelab.tokenizer.huggingface import HuggingFace
from chat_models import CHATML, TEMPLATES, WEATHER, openai_message, save_chatml, save_deepseek, texts

transformers = pytest.importorskip("transformers")


def changed(folder: Path, **fields: Any) -> Path:
    """The folder; fields of its tokenizer_config.json are replaced, or removed if None."""
    file = folder / "tokenizer_config.json"
    config = json.loads(file.read_text()) | fields
    file.write_text(json.dumps({key: value for key, value in config.items() if value is not None}))
    return folder


def of_type(folder: Path, model_type: str | None, **fields: Any) -> Path:
    if model_type is not None:
        (folder / "config.json").write_text(json.dumps({"model_type": model_type, **fields}))
    return folder


def reference(folder: Path) -> Any:
    return transformers.AutoTokenizer.from_pretrained(str(folder), local_files_only=True)


@cache
def both(folder: Path) -> tuple[FileTokenizer, Any]:
    """Our tokenizer and that of transformers."""
    own = file_tokenizer(folder)
    assert own is not None
    return own, reference(folder)


KINDS = [
    *((kind, "LlamaTokenizerFast") for kind in sorted(UNCHANGED_TYPES)),
    *((kind, named) for kind in (None, *sorted(GENERIC_TYPES)) for named in sorted(GENERIC_CLASSES)),
]


@pytest.mark.parametrize(("model_type", "named"), KINDS)
def test_transformers_uses_the_file_of_these_models_as_it_is(
    model_type: str | None, named: str, tmp_path: Path
) -> None:
    folder = of_type(changed(Path(save_chatml(tmp_path, CHATML)), tokenizer_class=named), model_type)
    own, theirs = file_tokenizer(folder), reference(folder)
    assert own is not None
    assert type(theirs).__name__ == "TokenizersBackend"
    assert own.backend.to_str() == theirs.backend_tokenizer.to_str()
    assert own.special_tokens_map == theirs.special_tokens_map
    assert (own.eos_token_id, own.vocab_size) == (theirs.eos_token_id, theirs.vocab_size)


@pytest.mark.parametrize(
    ("model_type", "named"),
    [
        ("qwen2", "PreTrainedTokenizerFast"),  # transformers takes a class of its own
        ("qwen3", "Qwen2Tokenizer"),
        ("mistral", "PreTrainedTokenizerFast"),
        ("gemma3", "GemmaTokenizer"),
        ("llama", "LlamaTokenizerFast"),
        ("unheard_of", "PreTrainedTokenizerFast"),
        (None, "LlamaTokenizer"),
        (None, None),
    ],
)
def test_other_models_are_left_to_transformers(model_type: str | None, named: str | None, tmp_path: Path) -> None:
    folder = of_type(changed(Path(save_chatml(tmp_path, CHATML)), tokenizer_class=named), model_type)
    assert file_tokenizer(folder) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"auto_map": {"AutoTokenizer": [None, "code.Mine"]}},
        {"add_prefix_space": True},
        {"split_special_tokens": True},
        {"fix_mistral_regex": True},
        {"fast_tokenizer_files": ["tokenizer.5.0.0.json"]},
        {"pad_token": "<pad>"},  # not in tokenizer.json
        {"extra_special_tokens": ["<new>"]},
        {"extra_special_tokens": {"image_token": "<|image|>"}},
        {"image_token": "<|image|>"},
        {"added_tokens_decoder": {"259": {"content": "<new>"}}},
        {"added_tokens_decoder": {"256": {"content": "<|im_start|>", "special": True, "lstrip": True}}},
    ],
)  # fmt: skip
def test_fields_that_change_tokens_are_left_to_transformers(fields: dict[str, Any], tmp_path: Path) -> None:
    folder = Path(save_chatml(tmp_path, CHATML))
    assert file_tokenizer(folder) is not None
    assert file_tokenizer(changed(folder, **fields)) is None


def test_added_tokens_that_the_file_lists_too_change_nothing(tmp_path: Path) -> None:
    folder = Path(save_chatml(tmp_path, CHATML))
    listed = {"256": {"content": "<|im_start|>", "special": True, "normalized": False}}
    own, theirs = file_tokenizer(changed(folder, added_tokens_decoder=listed)), reference(folder)
    assert own is not None
    assert own.backend.to_str() == theirs.backend_tokenizer.to_str()


def rewritten(folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    file = folder / "tokenizer.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    return folder


def _truncated(content: dict[str, Any]) -> None:
    content["truncation"] = {"direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0}


def _normalized(content: dict[str, Any]) -> None:
    for token in content["added_tokens"]:
        token["normalized"] = True


@pytest.mark.parametrize("change", [_truncated, _normalized])
def test_tokenizer_files_that_transformers_changes_are_left_to_it(
    change: Callable[[dict[str, Any]], None], tmp_path: Path
) -> None:
    assert file_tokenizer(rewritten(Path(save_chatml(tmp_path, CHATML)), change)) is None


def test_other_versions_of_transformers_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = save_chatml(tmp_path, CHATML)
    monkeypatch.setattr(module, "TRANSFORMERS", "4.0.")
    assert file_tokenizer(tmp_path) is None
    assert type(HuggingFace(folder)._tokenizer).__module__.startswith("transformers.")


def test_the_two_ways_never_share_a_token_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cachelab.tokenizer import huggingface

    folder = save_chatml(tmp_path, CHATML)
    before = HuggingFace(folder).name
    monkeypatch.setattr(huggingface, "_own", lambda files: None)
    assert HuggingFace(folder).name != before


@pytest.fixture(scope="module")
def deepseek(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(save_deepseek(tmp_path_factory.mktemp("deepseek"), CHATML))
    return of_type(folder, "deepseek_v3", auto_map={"AutoConfig": "configuration_deepseek.DeepseekV3Config"})


def test_real_vocabulary_gives_the_same_tokens_in_the_same_places(deepseek: Path) -> None:
    own, theirs = both(deepseek)
    chats = [chat for chat in Sample().load().conversations if isinstance(chat, Conversation)]
    spoken = list({message.text: None for chat in chats for prompt in chat.prompt_messages() for message in prompt})
    assert len(spoken) > 500
    made = own(spoken, add_special_tokens=False)
    expected = theirs(spoken, add_special_tokens=False, return_offsets_mapping=True)
    assert made["input_ids"] == expected["input_ids"]
    assert [list(map(tuple, one)) for one in made["offset_mapping"]] == expected["offset_mapping"]
    assert all(own.decode(ids) == theirs.decode(ids) for ids in made["input_ids"][:50])


@settings(max_examples=150, deadline=None)
@given(text=st.one_of(texts, st.text(max_size=40), st.text("a1 \n\t<｜>▁Assistantéß日本", max_size=40)))
def test_any_text_gives_the_same_tokens(deepseek: Path, text: str) -> None:
    own, theirs = both(deepseek)
    assert own(text, add_special_tokens=False)["input_ids"] == theirs.encode(text, add_special_tokens=False)


@pytest.mark.parametrize("name", sorted(TEMPLATES))
@pytest.mark.parametrize("tools", [None, list(WEATHER)])
def test_templates_are_rendered_as_transformers_renders_them(name: str, tools: Any, tmp_path: Path) -> None:
    from cachelab.message import Message

    folder = Path(save_chatml(tmp_path, "{% generation %}{{ eos_token }}{% endgeneration %}" + TEMPLATES[name]))
    own, theirs = file_tokenizer(folder), reference(folder)
    assert own is not None
    messages = [
        openai_message(m) for m in (Message("user", "<b> 'é' &"), Message("assistant", " a "), Message("user", ""))
    ]
    for generation in (True, False):
        arguments = {"tools": tools, "add_generation_prompt": generation, "tokenize": False}
        template = own.get_chat_template(tools)
        assert template == theirs.get_chat_template(tools=tools)
        assert own.apply_chat_template(messages, chat_template=template, **arguments) == theirs.apply_chat_template(
            messages, **arguments
        )


def test_named_templates_are_chosen_as_transformers_chooses_them(tmp_path: Path) -> None:
    named = [{"name": "default", "template": "plain"}, {"name": "tool_use", "template": "tools"}]
    folder = Path(save_chatml(tmp_path, CHATML))
    (folder / "chat_template.jinja").unlink()
    changed(folder, chat_template=named)
    for file, text in (
        (None, ""),
        ("chat_template.jinja", "file"),
        ("additional_chat_templates/tool_use.jinja", "both"),
    ):
        if file is not None:
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).write_text(text)
        own, theirs = file_tokenizer(folder), reference(folder)
        assert own is not None
        given: tuple[Any, ...] = (None, [{}])
        for tools in given:
            assert own.get_chat_template(tools) == theirs.get_chat_template(tools=tools)


@pytest.mark.parametrize(
    ("file", "counts"),
    [
        ("added_tokens.json", True),
        ("additional_chat_templates/tool_use.jinja", True),
        ("chat_template.jinja", True),
        ("config.json", True),
        ("merges.txt", True),
        ("special_tokens_map.json", True),
        ("tokenizer.model", True),
        ("README.md", False),
        ("model-00001-of-00002.safetensors", False),
    ],
)
def test_name_changes_with_each_file_that_can_change_tokens(file: str, counts: bool, tmp_path: Path) -> None:
    folder = Path(save_chatml(tmp_path, CHATML))
    before = HuggingFace(str(folder)).name
    (folder / file).parent.mkdir(exist_ok=True)
    (folder / file).write_text("{}")
    assert (HuggingFace(str(folder)).name != before) == counts


def test_changed_files_are_read_again_in_the_same_process(tmp_path: Path) -> None:
    conversation = Conversation.of_texts("c", [("a", "b")])
    folder = save_chatml(tmp_path, CHATML)
    first = len(conversation.tokenized(HuggingFace(folder)).prompts()[0])
    (tmp_path / "chat_template.jinja").write_text("x" + CHATML)
    assert len(conversation.tokenized(HuggingFace(folder)).prompts()[0]) == first + 1


def test_neither_the_name_nor_the_tokens_need_transformers(tmp_path: Path) -> None:
    folder = save_chatml(tmp_path, CHATML)
    script = f"""
import sys
from cachelab.conversation import Conversation
from cachelab.tokenizer.huggingface import HuggingFace
tokenizer = HuggingFace({folder!r})
assert tokenizer.name and len(Conversation.of_texts("c", [("a", "b")]).tokenized(tokenizer).turns) == 1
print(sorted({{"transformers", "torch"}} & set(sys.modules)))
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (ran.stdout, ran.returncode) == ("[]\n", 0), ran.stderr


def test_broken_tokenizer_file_is_one_line(tmp_path: Path) -> None:
    (Path(save_chatml(tmp_path, CHATML)) / "tokenizer.json").write_text('{"model": ')
    with pytest.raises(TokenizerError, match="holds no tokenizer that transformers can load"):
        _ = HuggingFace(str(tmp_path)).name
