"""Token ids and spans of a conversation that a template renders as text, each text encoded once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from cachelab.conversation import (
    NO_SPANS,
    TEMPLATE,
    Conversation,
    Spans,
    TokenIds,
    TokenizedTurn,
    common_prefix,
    messages_alone,
    new_spans,
    of_turn,
    with_reply,
)
from cachelab.errors import TokenizerError
from cachelab.message import Message
from cachelab.tokenizer import marks
from cachelab.tokenizer.pieces import CutText, Encoded, PieceEncoder
from cachelab.tokenizer.served_chat import ServedMessage, served_tools


@dataclass(frozen=True)
class Prompt:
    """Messages and what a template makes of them, worked out when asked for. `render` takes (messages, generation)."""

    served: list[ServedMessage]
    tools: Sequence[Any] | None
    generation: bool
    render: Callable[[list[ServedMessage], bool], str]

    @cached_property
    def text(self) -> str:
        return self.render(self.served, self.generation)

    @cached_property
    def placed(self) -> list[marks.Placed]:
        """Where the messages' texts stand: by marks, or searched where marks change what the template does."""
        try:
            with_marks = [marks.marked(message, index) for index, message in enumerate(self.served)]
            text, placed = marks.read_marks(self.render(with_marks, self.generation))
        except TokenizerError:  # the template refuses marked texts, which are not the chat's
            return marks.search(self.text, self.served)
        return placed if text == self.text else marks.search(self.text, self.served)

    def spans(self, encoded: Encoded) -> Spans:
        """Which message each token comes from; `encoded` is the text in tokens."""
        return marks.spans(self.text, self.placed, self.served, self.tools or (), encoded)


@dataclass(frozen=True)
class Whole:
    """The longest text of a conversation, by which the spans of the shorter ones are told without their marks."""

    prompt: Prompt
    encoded: Encoded

    @cached_property
    def _spans(self) -> Spans:
        return self.prompt.spans(self.encoded)

    @cached_property
    def _ends(self) -> list[int]:
        """For each number of first messages: where their last text ends; longer than the text if one is not shown."""
        prompt = self.prompt
        shown: list[set[int]] = [set() for _ in prompt.served]
        last = [0] * len(prompt.served)
        for one in prompt.placed:
            shown[one.message].add(one.field)
            last[one.message] = max(last[one.message], one.end)
        tools_end = marks.tools_place(prompt.text, prompt.tools or ())[1]
        ends = [tools_end]
        for message, fields, end in zip(prompt.served, shown, last, strict=True):
            complete = marks.fields(message) <= fields
            ends.append(max(ends[-1], end) if complete else len(prompt.text) + 1)
        return ends

    def spans_of(self, prompt: Prompt, encoded: Encoded) -> Spans:
        """The spans of a prompt: taken from the whole if it has the same texts at the same places, else its own."""
        n = len(prompt.served)
        end = self._ends[n] if n < len(self._ends) else len(self.prompt.text) + 1
        if end > len(prompt.text) or self.prompt.served[:n] != prompt.served or self.prompt.tools != prompt.tools:
            return prompt.spans(encoded)
        if self.prompt.text[:end] != prompt.text[:end]:
            return prompt.spans(encoded)
        tokens = int(np.searchsorted(self.encoded.starts, end, "left"))
        if not np.array_equal(self.encoded.ids[:tokens], encoded.ids[:tokens]):
            return prompt.spans(encoded)
        rows = self._spans[: np.searchsorted(self._spans[:, 0], tokens, "left")]
        if tokens == len(encoded.ids):
            return rows
        return np.concatenate([rows, np.asarray([(tokens, TEMPLATE)], np.int32)])


MakePrompt = Callable[[Sequence[Message], Sequence[Any] | None, bool], Prompt]


@dataclass(frozen=True)
class _Turn:
    """One turn as texts: its prompt, the chat closed by its reply, its prompt without history."""

    prompt: Prompt
    closed: Prompt | None
    alone: Prompt | None

    @property
    def texts(self) -> list[Prompt]:
        return [prompt for prompt in (self.prompt, self.closed, self.alone) if prompt is not None]


def encode_rendered(
    conversation: Conversation, make: MakePrompt, encoder: PieceEncoder, eos: int | None
) -> list[TokenizedTurn]:
    """The turns in token ids. Raises TokenizerError if a prompt cannot be rendered."""
    turns = _turns(conversation, make)
    encoded = _encoded(turns, encoder)
    last = turns[-1].closed or turns[-1].prompt
    whole = Whole(last, encoded[id(last)])
    alone_spans: dict[int, Spans] = {}
    tokenized: list[TokenizedTurn] = []
    context, context_spans = np.empty(0, np.int32), NO_SPANS
    for turn, logged in zip(turns, conversation.turns, strict=True):
        prompt = encoded[id(turn.prompt)]
        reply = _reply(turn, encoded, encoder, eos)
        kept = common_prefix(context, prompt.ids)
        spans = whole.spans_of(turn.prompt, prompt)
        alone = turn.alone
        if alone is not None and id(alone) not in alone_spans:
            alone_spans[id(alone)] = alone.spans(encoded[id(alone)])
        tokenized.append(
            TokenizedTurn(
                kept_tokens=kept,
                new_ids=prompt.ids[kept:],
                reply_ids=reply,
                alone_ids=None if alone is None else encoded[id(alone)].ids,
                new_spans=new_spans(context_spans, spans),
                alone_spans=NO_SPANS if alone is None else alone_spans[id(alone)],
                **of_turn(logged),
            )
        )
        context = np.concatenate([prompt.ids, reply])
        context_spans = with_reply(spans, len(prompt.ids), len(turn.prompt.served))
    return tokenized


def _turns(conversation: Conversation, make: MakePrompt) -> list[_Turn]:
    served: dict[int, Sequence[Any] | None] = {}
    alone: dict[tuple[int, ...], Prompt | None] = {}
    turns: list[_Turn] = []
    for turn, messages in zip(conversation.turns, conversation.prompt_messages(), strict=True):
        if id(turn.tools) not in served:
            served[id(turn.tools)] = served_tools(turn.tools)
        tools = served[id(turn.tools)]
        places = messages_alone(messages)
        key = (id(turn.tools), *(id(messages[place]) for place in places or ()))
        if key not in alone:
            alone[key] = _alone([messages[place] for place in places], tools, make) if places else None
        closed = None if turn.reply is None else make([*messages, turn.reply], tools, False)
        turns.append(_Turn(make(messages, tools, True), closed, alone[key]))
    return turns


def _alone(messages: Sequence[Message], tools: Sequence[Any] | None, make: MakePrompt) -> Prompt | None:
    """A prompt without history; None where the template wants one."""
    prompt = make(messages, tools, True)
    try:
        _ = prompt.text
    except TokenizerError:
        return None
    return prompt


def _encoded(turns: Sequence[_Turn], encoder: PieceEncoder) -> dict[int, Encoded]:
    """The tokens of every text, by the id of its Prompt."""
    cut: dict[int, CutText] = {}
    like: CutText | None = None
    for turn in turns:
        for prompt in turn.texts:
            if id(prompt) not in cut:
                cut[id(prompt)] = encoder.cut(prompt.text, like if prompt is not turn.alone else None)
            like = like if prompt is turn.alone else cut[id(prompt)]
    return dict(zip(cut, encoder.encode(list(cut.values())), strict=True))


def _reply(turn: _Turn, encoded: dict[int, Encoded], encoder: PieceEncoder, eos: int | None) -> TokenIds:
    """What the template adds to the prompt for the reply, up to its last end-of-sequence token.

    Where it rewrites the prompt, the reply starts where its own text does.
    """
    closed = turn.closed
    if closed is None:
        return np.empty(0, np.int32)
    prompt, ids = encoded[id(turn.prompt)].ids, encoded[id(closed)].ids
    if common_prefix(prompt, ids) == len(prompt):
        return _up_to_last(ids[len(prompt) :], eos)
    if closed.text.startswith(turn.prompt.text):  # a token lies across the prompt's end; a model starts a new one there
        rest = encoder.cut(closed.text[len(turn.prompt.text) :])
        return _up_to_last(encoder.encode([rest])[0].ids, eos)
    spans = closed.spans(encoded[id(closed)])
    own = np.nonzero(spans[:, 1] == len(closed.served) - 1)[0]
    if not len(own):
        return np.asarray([] if eos is None else [eos], np.int32)
    start = int(spans[own[0], 0])
    end = int(spans[own[-1] + 1, 0]) if own[-1] + 1 < len(spans) else len(ids)
    if eos is not None and eos in ids[end:]:
        return _up_to_last(ids[start:], eos)
    return ids[start:end] if eos is None else np.append(ids[start:end], np.int32(eos))


def _up_to_last(ids: TokenIds, eos: int | None) -> TokenIds:
    found = np.nonzero(ids == eos)[0] if eos is not None else ()
    return ids[: int(found[-1]) + 1] if len(found) else ids
