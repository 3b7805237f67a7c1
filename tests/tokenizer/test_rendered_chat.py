"""tokenizer=huggingface against what vLLM's server makes of the same requests, and the spans of its prompts."""

from collections.abc import Sequence
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from cachelab.conversation import TEMPLATE, TOOLS, Conversation
from cachelab.message import Message, Part
from cachelab.tokenizer.huggingface import TEMPLATE_DATE, HuggingFace
from chat_models import (
    TEMPLATES,
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


def served_by_vllm(tokenizer: HuggingFace, messages: Sequence[Message], tools: Any) -> list[int]:
    """The prompt's tokens, by vLLM's own functions."""
    pytest.importorskip("vllm")
    from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionToolsParam
    from vllm.renderers.chat_utils import parse_chat_messages
    from vllm.renderers.hf import _detect_content_format, safe_apply_chat_template

    own = tokenizer._tokenizer
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
