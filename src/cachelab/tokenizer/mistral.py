"""Mistral's v3 Tekken vocabulary and chat template, as mistral-common bundles them."""

import json
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass as plain_dataclass
from dataclasses import field
from typing import Annotated

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from cachelab.conversation import Conversation
from cachelab.message import Message, Part, ToolDefinitions, messages_alone
from cachelab.spans import NO_SPANS, TEMPLATE, TOOLS, Spans, new_spans, with_reply
from cachelab.strict_config import STRICT
from cachelab.tokenized_conversation import TokenizedTurn, of_turn
from cachelab.tokenizer.media import MediaTokens
from cachelab.tokenizer.mistral_instruct import (
    assistant_ids,
    decoded,
    instruct,
    media_parts,
    text_ids,
    tool_ids,
    tool_result_ids,
    vocabulary_digest,
)
from cachelab.tokenizer.served_chat import served_tools, without_header
from cachelab.tokens import TokenIds, common_prefix

IN_USER_BLOCK = ("system", "developer", "user")
"""Roles whose messages stand in an [INST] block."""

Rows = list[tuple[int, int]]
"""Rows of spans: (token, source)."""


@dataclass(frozen=True, config=STRICT)
class Mistral:
    """mistral-common's v3 Tekken tokenizer; needs no network.

    Tool definitions stand before the FIRST user message, a system text before the user message that follows it.
    mistral-common's v3 puts both before the LAST user message, where they would move with every turn, so that no prompt
    would be a prefix of the next. `alone_ids` keeps the system text and the tools, so that prompts with and without
    history differ by the history alone. mistral-common refuses an assistant's message that has neither text nor calls,
    and one that has both; here the first is the end-of-sequence token alone, the second its text and then its calls.
    Claude Code's billing header, the first line of some of its system texts, changes with each request: it is left out,
    as vLLM's server does. Reasoning is left out: v3 has none. Special-token text in a message ("[INST]", "</s>") is
    plain text, as in mistral-common. `image_tokens` is how many tokens an image or audio part takes; in a user's
    message they stand where the part stands, in a tool's result after its text.
    """

    image_tokens: Annotated[int, Field(gt=0)] | None = None

    @property
    def name(self) -> str:
        """The digest of the vocabulary file and the differences from mistral-common; does not load the vocabulary."""
        images = "" if self.image_tokens is None else f":image-tokens-{self.image_tokens}"
        return f"mistral-common:v3-tekken:system-first:no-billing-header:{vocabulary_digest()[:12]}{images}"

    def encode_text(self, text: str) -> list[int]:
        """Token ids of plain text; no special token is added."""
        return text_ids(text)

    def decode(self, ids: Sequence[int]) -> str:
        return decoded(ids)

    def encode_chat(self, conversation: Conversation) -> list[TokenizedTurn]:
        """One TokenizedTurn per turn; each message is encoded once.

        Raises TokenizerError if a tool definition has no name, or a part has no number of tokens.
        """
        encoder = _Encoder(self.image_tokens)
        tokenized: list[TokenizedTurn] = []
        context, context_spans = _ids([]), NO_SPANS
        for turn, messages in zip(conversation.turns, conversation.prompt_messages(), strict=True):
            prompt, spans = encoder.prompt(messages, turn.tools)
            reply = _ids(encoder.message(turn.reply)) if turn.reply else _ids([])
            kept = common_prefix(context, prompt)
            places = messages_alone(messages)
            alone, alone_spans = None, NO_SPANS
            if places is not None:
                alone, alone_spans = encoder.prompt([messages[place] for place in places], turn.tools)
            stored = new_spans(context_spans, spans)
            tokenized.append(TokenizedTurn(kept, prompt[kept:], reply, alone, stored, alone_spans, **of_turn(turn)))
            context = np.concatenate([prompt, reply])
            context_spans = with_reply(spans, len(prompt), len(messages))
        return tokenized


@plain_dataclass(eq=False)
class _Encoder:
    """Encodes the messages of one conversation, each message once."""

    image_tokens: int | None
    known: dict[Hashable, tuple[list[int], Rows]] = field(default_factory=dict)

    def prompt(self, messages: Sequence[Message], tools: ToolDefinitions) -> tuple[TokenIds, Spans]:
        """The ids of a prompt and its spans."""
        ids: list[int] = list(instruct().start())
        rows: Rows = [(0, TEMPLATE)]
        for block in _blocks(messages):
            if tools and messages[block[0]].role in IN_USER_BLOCK:
                rows.append((len(ids), TOOLS))
                ids += tool_ids(json.dumps(served_tools(tools)))
                tools = ()
            made, own = self._block(messages, block)
            rows += [(len(ids) + at, source) for at, source in own]
            ids += made
        return _ids(ids), _rising(rows)

    def message(self, message: Message) -> list[int]:
        """The ids of a message of the assistant or of a tool."""
        return self._block((message,), (0,))[0]

    def _block(self, messages: Sequence[Message], block: tuple[int, ...]) -> tuple[list[int], Rows]:
        key = (block, *(id(messages[index]) for index in block))  # the conversation keeps its messages alive
        if key not in self.known:
            message = messages[block[0]]
            if message.role == "assistant":
                self.known[key] = assistant_ids(message), [(0, block[0])]
            elif message.role in ("tool", "function"):
                self.known[key] = self._tool_result(message), [(0, block[0])]
            else:
                self.known[key] = self._user(messages, block)
        return self.known[key]

    def _user(self, messages: Sequence[Message], block: tuple[int, ...]) -> tuple[list[int], Rows]:
        """The ids of an [INST] block. Texts up to the next image are joined, with a blank line between them."""
        ids: list[int] = [instruct().BEGIN_INST]
        rows: Rows = [(0, TEMPLATE)]
        texts: list[tuple[int, str]] = []

        def write() -> None:
            made = text_ids("\n\n".join(text for _, text in texts))
            rows.extend(_starts(made, texts, len(ids)))
            ids.extend(made)
            texts.clear()

        for index in block:
            content = messages[index].content
            for part in content if isinstance(content, tuple) else (Part("text", content or ""),):
                if part.kind == "text":
                    text = without_header(part.text) if messages[index].role == "system" else part.text
                    texts += [(index, text)] if text else []
                    continue
                write()
                rows.append((len(ids), index))
                ids += self._media(part)
        write()
        return [*ids, instruct().END_INST], [*rows, (len(ids), TEMPLATE)]

    def _tool_result(self, message: Message) -> list[int]:
        ids = tool_result_ids(message)
        media = [one for part in media_parts(message) for one in self._media(part)]
        return [*ids[:-1], *media, ids[-1]]

    def _media(self, part: Part) -> list[int]:
        tokenizer = instruct().tokenizer
        made = MediaTokens(self.image_tokens, tokenizer.num_special_tokens, tokenizer.n_words)
        return list(map(int, made.ids(part)))


def _blocks(messages: Sequence[Message]) -> Iterator[tuple[int, ...]]:
    """The indices of the messages of each block of the prompt.

    System messages and the user messages after them are one [INST] block, as are user messages in a row. Each message
    of the assistant or of a tool is a block of its own.
    """
    block: tuple[int, ...] = ()
    for index, message in enumerate(messages):
        in_block = message.role in IN_USER_BLOCK
        if block and (not in_block or (message.role != "user" and messages[block[-1]].role == "user")):
            yield block
            block = ()
        if in_block:
            block = (*block, index)
        else:
            yield (index,)
    if block:
        yield block


def _starts(ids: Sequence[int], texts: Sequence[tuple[int, str]], first: int) -> Rows:
    """The first token of each text in the tokens of all texts, which are joined with a blank line."""
    if len({source for source, _ in texts}) <= 1:
        return [(first, source) for source, _ in texts[:1]]
    tokenizer = instruct().tokenizer
    ends = np.cumsum([len(tokenizer.id_to_byte_piece(one)) for one in ids])
    lengths = [len(text.encode(errors="replace")) + 2 for _, text in texts]
    places = np.cumsum([0, *lengths[:-1]])
    return [
        (first + int(np.searchsorted(ends, place, "right")), source)
        for place, (source, _) in zip(places, texts, strict=True)
    ]


def _rising(rows: Rows) -> Spans:
    """The rows as spans. Of several rows at one token the last one counts; repeated sources are merged."""
    kept: Rows = []
    for start, source in rows:
        if kept and kept[-1][0] == start:
            kept.pop()
        if not kept or kept[-1][1] != source:
            kept.append((start, source))
    return np.asarray(kept, np.int32)


def _ids(ids: list[int]) -> TokenIds:
    return np.asarray(ids, dtype=np.int32)
