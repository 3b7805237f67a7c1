"""HuggingFace with a one-token-a-byte tokenizer, so that every number can be counted by hand."""

from pathlib import Path

import pytest

from cachelab.conversation import Conversation
from cachelab.errors import TokenizerError
from cachelab.tokenized_conversation import TokenizedConversation
from cachelab.tokenizer.huggingface import HuggingFace

pytest.importorskip("transformers")

SPECIAL = ["<s>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"]
TAIL = "{% if add_generation_prompt %}<|assistant|>{% endif %}"
FAITHFUL = "<s>{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}" + TAIL
NEWLINES = "<s>{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>\n{% endfor %}" + TAIL
DROPS_THOUGHTS = (
    "<s>{% for m in messages %}<|{{ m.role }}|>"
    "{% if m.role == 'assistant' and not loop.last %}{{ m.content.split('</think>')[-1] }}"
    "{% else %}{{ m.content }}{% endif %}"
    "<|end|>{% endfor %}" + TAIL
)
COUNTS_FROM_THE_END = (
    "<s>{% for m in messages %}{{ loop.revindex }}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}" + TAIL
)
REFUSES_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('no\nsystem') }}{% endif %}" + FAITHFUL


def save_model(folder: Path, template: str | None) -> str:
    """A tokenizer of 256 byte tokens (ids 0 to 255) and SPECIAL (from 256 on)."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({byte: i for i, byte in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="<|end|>")
    fast.chat_template = template
    fast.save_pretrained(folder)
    return str(folder)


def tokenized(
    tokenizer: HuggingFace, *chat: tuple[str, str], system: str | None = None
) -> tuple[TokenizedConversation, list[str], list[str]]:
    """The conversation, and its prompts and replies as text."""
    conversation = Conversation.of_texts("c", chat, system).tokenized(tokenizer)
    decode = tokenizer._tokenizer.decode
    prompts = [decode(prompt.tolist()) for prompt in conversation.prompts()]
    return conversation, prompts, [decode(turn.reply_ids.tolist()) for turn in conversation.turns]


def test_faithful_template_keeps_prefixes(tmp_path: Path) -> None:
    tokenizer = HuggingFace(save_model(tmp_path, FAITHFUL))
    conversation, prompts, replies = tokenized(tokenizer, ("ab", "c"), ("d", ""), ("é", "f "))
    assert prompts == [
        "<s><|user|>ab<|end|><|assistant|>",
        "<s><|user|>ab<|end|><|assistant|>c<|end|><|user|>d<|end|><|assistant|>",
        "<s><|user|>ab<|end|><|assistant|>c<|end|><|user|>d<|end|><|assistant|><|end|><|user|>é<|end|><|assistant|>",
    ]
    assert replies == ["c<|end|>", "<|end|>", "f <|end|>"]
    # 1 + 1 + 2 + 1 + 1 = 6 tokens, + 2 of the reply + 4; + 1 of the empty reply + 5 (é is two bytes)
    assert [turn.prompt_tokens for turn in conversation.turns] == [6, 12, 18]
    assert [turn.kept_tokens for turn in conversation.turns] == [0, 8, 13]
    assert [len(turn.alone_ids) for turn in conversation.turns if turn.alone_ids is not None] == [6, 5, 6]
    assert conversation.prefix_breaks == 0


def test_text_after_the_last_end_of_sequence_is_not_reply(tmp_path: Path) -> None:
    conversation, _, replies = tokenized(HuggingFace(save_model(tmp_path, NEWLINES)), ("a", "b"), ("c", "d"))
    assert replies == ["b<|end|>", "d<|end|>"]  # without the newline, which the next prompt brings
    assert conversation.prefix_breaks == 0


def test_dropped_thoughts_break_the_prefix_of_the_next_turn(tmp_path: Path) -> None:
    tokenizer = HuggingFace(save_model(tmp_path, DROPS_THOUGHTS))
    conversation, prompts, replies = tokenized(
        tokenizer, ("q", "hm</think>a"), ("q", "plain"), ("q", "<think>x</think>b"), ("q", "c")
    )
    assert replies == ["hm</think>a<|end|>", "plain<|end|>", "<think>x</think>b<|end|>", "c<|end|>"]
    assert prompts[1] == "<s><|user|>q<|end|><|assistant|>a<|end|><|user|>q<|end|><|assistant|>"
    # Turns 1 and 3 come after a reply with thoughts. Turn 1 keeps <s><|user|>q<|end|><|assistant|>, 5 tokens.
    assert conversation.prefix_breaks == 2
    assert conversation.turns[1].kept_tokens == 5
    assert conversation.turns[2].kept_tokens == conversation.turns[1].prompt_tokens + len("plain") + 1


def test_numbering_from_the_end_breaks_every_prefix(tmp_path: Path) -> None:
    tokenizer = HuggingFace(save_model(tmp_path, COUNTS_FROM_THE_END))
    conversation, prompts, replies = tokenized(tokenizer, ("a", "b"), ("c", "d"), ("e", "f"))
    assert prompts[0] == "<s>1<|user|>a<|end|><|assistant|>"
    assert prompts[1] == "<s>3<|user|>a<|end|>2<|assistant|>b<|end|>1<|user|>c<|end|><|assistant|>"
    assert replies == ["b<|end|>", "d<|end|>", "f<|end|>"]  # its own text: what the template adds cannot be told
    assert conversation.prefix_breaks == 2
    assert [turn.kept_tokens for turn in conversation.turns] == [0, 1, 1]  # <s> alone


def test_system_text_stands_in_both_kinds_of_prompt(tmp_path: Path) -> None:
    tokenizer = HuggingFace(save_model(tmp_path, FAITHFUL))
    conversation, prompts, _ = tokenized(tokenizer, ("a", "b"), ("c", "d"), system="s")
    assert prompts[1] == "<s><|system|>s<|end|><|user|>a<|end|><|assistant|>b<|end|><|user|>c<|end|><|assistant|>"
    alone = conversation.turns[1].alone_ids
    assert alone is not None
    assert tokenizer._tokenizer.decode(alone.tolist()) == "<s><|system|>s<|end|><|user|>c<|end|><|assistant|>"


def test_template_that_refuses_system_messages_is_one_line(tmp_path: Path) -> None:
    tokenizer = HuggingFace(save_model(tmp_path, REFUSES_SYSTEM))
    assert tokenized(tokenizer, ("a", "b"))[0].prefix_breaks == 0
    with pytest.raises(
        TokenizerError, match=r"with a system message \(no system\).*tokenizer\.chat_template"
    ) as caught:
        tokenized(tokenizer, ("a", "b"), system="s")
    assert "\n" not in str(caught.value)


def test_template_is_told_a_fixed_date(tmp_path: Path) -> None:
    tokenizer = HuggingFace(save_model(tmp_path, "{{ strftime_now('%d %b %Y') }}" + TAIL))
    assert tokenized(tokenizer, ("a", "b"))[1] == ["26 Jul 2024<|assistant|>"]


def test_chat_template_file_replaces_the_models_own(tmp_path: Path) -> None:
    model = save_model(tmp_path, NEWLINES)
    override = tmp_path / "other.jinja"
    override.write_text(FAITHFUL, encoding="utf-8")
    own, other = HuggingFace(model), HuggingFace(model, chat_template=str(override))
    assert tokenized(other, ("a", "b"))[1] == ["<s><|user|>a<|end|><|assistant|>"]
    assert tokenized(own, ("a", "b"))[1] == ["<s><|user|>a<|end|>\n<|assistant|>"]
    assert own.name != other.name


def test_name_follows_the_content_not_the_place(tmp_path: Path) -> None:
    names = [
        HuggingFace(save_model(tmp_path / place / "llama", template)).name
        for place, template in (("a", FAITHFUL), ("b", FAITHFUL), ("c", NEWLINES))
    ]
    assert names[0] == names[1] != names[2]
    assert names[0].startswith("huggingface:llama:")


def test_no_chat_template_says_so(tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match=r"has no chat template: set tokenizer\.chat_template"):
        tokenized(HuggingFace(save_model(tmp_path, None)), ("a", "b"))


def test_missing_chat_template_file_names_the_field(tmp_path: Path) -> None:
    tokenizer = HuggingFace(save_model(tmp_path, FAITHFUL), chat_template=str(tmp_path / "none.jinja"))
    with pytest.raises(TokenizerError, match=r"^tokenizer\.chat_template .*none\.jinja: cannot be read"):
        tokenized(tokenizer, ("a", "b"))


def test_broken_chat_template_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(TokenizerError) as caught:
        tokenized(HuggingFace(save_model(tmp_path, "{% for %}")), ("a", "b"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("model", ["{tmp}/none", "./none", "a/b/c"])
def test_missing_folder_says_so_without_asking_the_hub(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", _unreachable)
    with pytest.raises(TokenizerError, match="no such folder"):
        _ = HuggingFace(model.format(tmp=tmp_path)).name


def test_folder_without_tokenizer_says_so(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(TokenizerError, match="holds no tokenizer") as caught:
        _ = HuggingFace(str(tmp_path)).name
    assert "\n" not in str(caught.value)


def test_hub_id_that_cannot_be_had_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def offline(self: object, model: str, timeout: float) -> None:
        asked.append((model, timeout))
        raise OSError("Name or service\nnot known")

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", offline)
    with pytest.raises(
        TokenizerError, match=r"hub does not give it \(Name or service not known\).*`hf download nobody/nothing`"
    ):
        _ = HuggingFace("nobody/nothing").name
    assert asked == [("nobody/nothing", 5)]  # one question, five seconds at most


def _unreachable(*_: object, **__: object) -> None:
    raise AssertionError("the hub was asked")
