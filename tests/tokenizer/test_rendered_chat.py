"""tokenizer=huggingface against what vLLM's server makes of the same requests, and the spans of its prompts."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from cachelab.conversation import Conversation
from cachelab.errors import ConfigError, TokenizerError
from cachelab.message import Message, Part, ToolCall
from cachelab.spans import TEMPLATE, TOOLS
from cachelab.tokenizer.huggingface import TEMPLATE_DATE, HuggingFace
from cachelab.tokenizer.pieces import PieceEncoder
from cachelab.turn import Turn
from chat_models import (
    CHATML,
    TEMPLATES,
    WEATHER,
    conversation_of,
    conversations,
    openai_message,
    save_chatml,
    save_deepseek,
)

pytest.importorskip("transformers")
MODELS = [*TEMPLATES, "deepseek chatml", "deepseek drops_reasoning"]
several = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, HuggingFace]:
    folder = tmp_path_factory.mktemp("models")
    made = {name: HuggingFace(save_chatml(folder / name, template)) for name, template in TEMPLATES.items()}
    for name in ("chatml", "drops_reasoning"):
        made[f"deepseek {name}"] = HuggingFace(save_deepseek(folder / f"deepseek_{name}", TEMPLATES[name]))
    return made


@cache
def server_config() -> Any:
    """What vLLM's functions read of a ModelConfig for a text model."""
    return SimpleNamespace(
        multimodal_config=None,
        enable_prompt_embeds=False,
        tokenizer_revision=None,
        trust_remote_code=False,
        model="m",
        tokenizer="m",
    )


@cache
def transformers_tokenizer(model: str) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(model, local_files_only=True)


def served_by_vllm(tokenizer: HuggingFace, messages: Sequence[Message], tools: Any) -> list[int]:
    """The prompt's tokens, by vLLM's own functions."""
    pytest.importorskip("vllm")
    from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionToolsParam
    from vllm.renderers.chat_utils import parse_chat_messages
    from vllm.renderers.hf import _detect_content_format, safe_apply_chat_template

    own = transformers_tokenizer(tokenizer.model)
    form = _detect_content_format(own.chat_template, default="string")
    sent: Any = [openai_message(message) for message in messages]
    parsed, _, _ = parse_chat_messages(sent, server_config(), form)
    text = safe_apply_chat_template(
        server_config(),
        own,
        parsed,
        tools=[ChatCompletionToolsParam(**tool).model_dump() for tool in tools] or None,
        chat_template=own.chat_template,
        tokenize=False,
        add_generation_prompt=True,
        continue_final_message=False,
        strftime_now=TEMPLATE_DATE.strftime,
    )
    ids: list[int] = own.encode(text, add_special_tokens=False)
    return ids


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
@several
@given(conversation=conversations())
def test_prompts_equal_those_of_vllms_server(
    name: str, models: dict[str, HuggingFace], conversation: Conversation
) -> None:
    tokenizer = models[name]
    prompts = conversation.tokenized(tokenizer).prompts()
    for turn, messages, prompt in zip(conversation.turns, conversation.prompt_messages(), prompts, strict=True):
        assert prompt.tolist() == served_by_vllm(tokenizer, messages, turn.tools)


@pytest.mark.parametrize("name", MODELS)
@several
@given(conversation=conversations())
def test_spans_rise_cover_the_prompt_and_hold_the_messages_texts(
    name: str, models: dict[str, HuggingFace], conversation: Conversation
) -> None:
    tokenizer = models[name]
    tokenized = conversation.tokenized(tokenizer)
    chats = zip(tokenized.prompts(), tokenized.spans(), conversation.prompt_messages(), strict=True)
    for prompt, spans, messages in chats:
        assert spans.dtype == np.int32
        assert spans[0, 0] == 0
        assert (np.diff(spans[:, 0]) > 0).all()
        assert spans[-1, 0] < len(prompt)
        assert set(spans[:, 1].tolist()) <= {TEMPLATE, TOOLS, *range(len(messages))}
        assert (np.diff(spans[:, 1]) != 0).all()
        if name == "looks_inside":  # texts are searched there: a hidden one may be found in another one's place
            continue
        texts = texts_by_source(tokenizer, prompt.tolist(), spans)
        for source, message in enumerate(messages):
            given = message.content if isinstance(message.content, tuple) else (Part("text", message.text),)
            for part in given:
                assert part.text.strip() in texts.get(source, ""), (source, texts)


def texts_by_source(tokenizer: HuggingFace, prompt: list[int], spans: Any) -> dict[int, str]:
    texts: dict[int, str] = {}
    for (start, source), end in zip(spans.tolist(), [*spans[1:, 0].tolist(), len(prompt)], strict=True):
        texts[source] = texts.get(source, "") + tokenizer._tokenizer.decode(prompt[start:end])
    return texts


def chat(*messages: Message, tools: Any = ()) -> Conversation:
    return conversation_of([*messages], tools)


def test_reply_of_calls_is_what_the_template_adds(models: dict[str, HuggingFace]) -> None:
    call = ToolCall("get_weather", '{"city":"Bern"}', "1")
    conversation = chat(
        Message("user", "q"),
        Message("assistant", None, (call,), reasoning="hm"),
        Message("tool", "sun", tool_call_id="1"),
        Message("assistant", "Sun."),
        tools=WEATHER,
    ).tokenized(models["chatml"])
    decode = models["chatml"]._tokenizer.decode
    written = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Bern"}}\n</tool_call>'
    replies = [decode(turn.reply_ids.tolist()) for turn in conversation.turns]
    assert replies == [f"<think>\nhm\n</think>\n{written}<|im_end|>", "Sun.<|im_end|>"]
    assert conversation.prefix_breaks == 0
    assert conversation.spans()[1][:, 1].tolist() == [TEMPLATE, TOOLS, TEMPLATE, 0, TEMPLATE, 1, TEMPLATE, 2, TEMPLATE]


def test_reasoning_that_the_template_drops_breaks_the_prefix_at_the_next_user_message(
    models: dict[str, HuggingFace],
) -> None:
    conversation = chat(
        Message("user", "q"),
        Message("assistant", "a", reasoning="hm"),
        Message("user", "r"),
        Message("assistant", "b"),
    ).tokenized(models["drops_reasoning"])
    decode = models["drops_reasoning"]._tokenizer.decode
    assert decode(conversation.turns[0].reply_ids.tolist()) == "<think>\nhm\n</think>\na<|im_end|>"
    assert conversation.turns[1].kept_tokens == conversation.turns[0].prompt_tokens
    assert conversation.prefix_breaks == 1


def test_turn_without_reply_has_no_reply_tokens(models: dict[str, HuggingFace]) -> None:
    (turn,) = Conversation("c", (Turn(0, (Message("user", "q"),), None),)).tokenized(models["chatml"]).turns
    assert np.asarray(turn.reply_ids).dtype == np.int32
    assert len(turn.reply_ids) == 0


def test_chat_without_a_user_message_has_no_prompt_of_its_own(models: dict[str, HuggingFace]) -> None:
    (turn,) = chat(Message("system", "s"), Message("assistant", "a")).tokenized(models["chatml"]).turns
    assert turn.alone_ids is None


def test_each_text_is_encoded_once(models: dict[str, HuggingFace], monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent's loop of 50 calls: the tokenizer gets about as many characters as the last prompt has, not 50 times."""
    tokenizer = HuggingFace(models["chatml"].model)
    messages = [Message("user", "do it")]
    for step in range(50):
        messages.append(Message("assistant", None, (ToolCall("now", f'{{"step": {step}}}', str(step)),)))
        messages.append(Message("tool", f"result {step} " * 20, tool_call_id=str(step)))
    conversation = conversation_of([*messages, Message("assistant", "done")], WEATHER)
    given: list[int] = []
    learn = PieceEncoder._encoded_pieces

    def counted(self: PieceEncoder, pieces: list[str]) -> Any:
        given.extend(map(len, pieces))
        return learn(self, pieces)

    monkeypatch.setattr(PieceEncoder, "_encoded_pieces", counted)
    tokenized = conversation.tokenized(tokenizer)
    last = tokenized.turns[-1].prompt_tokens  # one token per character, special tokens are one
    assert tokenized.prompt_tokens > 20 * last
    assert sum(given) < 1.5 * last + 60 * sum(map(len, ("<|im_start|>", "<|im_end|>")))


def test_template_kwargs_reach_the_template(tmp_path: Path) -> None:
    model = save_chatml(tmp_path, "{{ 'thinking' if enable_thinking else 'plain' }}" + CHATML)
    conversation = chat(Message("user", "q"), Message("assistant", "a"))
    plain, thinking = HuggingFace(model), HuggingFace(model, template_kwargs={"enable_thinking": True})
    for tokenizer, start in ((plain, "plain"), (thinking, "thinking")):
        assert tokenizer._tokenizer.decode(conversation.tokenized(tokenizer).prompts()[0]).startswith(start)
    assert plain.name != thinking.name
    with pytest.raises(ConfigError, match=r"template_kwargs\.tools: cachelab sets it itself"):
        HuggingFace(model, template_kwargs={"tools": []})


@pytest.mark.parametrize("name", ["chatml", "parts"])
def test_images_are_ids_of_their_digest(name: str, models: dict[str, HuggingFace]) -> None:
    tokenizer = HuggingFace(models[name].model, image_tokens=4)

    def prompt(digest: str) -> list[int]:
        parts = (Part("text", "see "), Part("image", digest=digest))
        ids: list[int] = (
            chat(Message("user", parts), Message("assistant", "a")).tokenized(tokenizer).prompts()[0].tolist()
        )
        return ids

    one, same, other = prompt("aa"), prompt("aa"), prompt("bb")
    assert one == same
    differs = [place for place, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
    assert 2 <= len(differs) <= 4
    assert differs[-1] - differs[0] < 4
    assert tokenizer.name != models[name].name
    with pytest.raises(TokenizerError, match=r"set tokenizer\.image_tokens"):
        chat(Message("user", (Part("image", digest="aa"),)), Message("assistant", "a")).tokenized(models[name])


def test_tool_definition_without_a_name_is_one_line(models: dict[str, HuggingFace]) -> None:
    with pytest.raises(TokenizerError, match=r"^tools\[0\] has no function with a name") as caught:
        chat(Message("user", "q"), Message("assistant", "a"), tools=({"type": "function"},)).tokenized(models["chatml"])
    assert "\n" not in str(caught.value)
