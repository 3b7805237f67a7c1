"""Computes token ids and spans of a conversation that a template renders as text; each text is encoded once."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from cachelab.conversation import Conversation
from cachelab.errors import TokenizerError
from cachelab.message import Message, ToolDefinitions, messages_alone
from cachelab.spans import NO_SPANS, Spans, new_spans, with_reply
from cachelab.tokenized_conversation import TokenizedTurn, of_turn
from cachelab.tokenizer import marks
from cachelab.tokenizer.pieces import CutText, Encoded, PieceEncoder, common_length
from cachelab.tokenizer.served_chat import ServedMessage, served_tools
from cachelab.tokens import TokenIds, common_prefix


@dataclass(frozen=True, eq=False)
class Prompt:
    """Messages and their rendered text, computed on first use. `render` takes (messages, generation)."""

    served: list[ServedMessage]
    tools: Sequence[Any] | None
    generation: bool
    render: Callable[[list[ServedMessage], bool], str]

    @cached_property
    def text(self) -> str:
        return self.render(self.served, self.generation)

    @cached_property
    def placed(self) -> list[marks.Placed]:
        """The places of the messages' texts: by marks, or by search if marks change what the template renders."""
        try:
            with_marks = [marks.marked(message, index) for index, message in enumerate(self.served)]
            text, placed = marks.read_marks(self.render(with_marks, self.generation))
        except TokenizerError:  # the template refuses the marked texts, not the chat
            return marks.search(self.text, self.served)
        return placed if text == self.text else marks.search(self.text, self.served)

    def placed_by(self, whole: "Prompt") -> list[marks.Placed]:
        """The same, taken from a longer chat with these messages first, if it shows the same text for all of them."""
        n = len(self.served)
        if whole.served[:n] == self.served:
            shared = common_length(self.text, whole.text)
            placed = [one for one in whole.placed if one.message < n]
            shown: list[set[int]] = [set() for _ in range(n)]
            for one in placed:
                shown[one.message].add(one.field)
            fields = (marks.fields(message) for message in self.served)
            if all(one.end <= shared for one in placed) and all(map(set.issuperset, shown, fields)):
                return placed
        return self.placed


MakePrompt = Callable[[Sequence[Message], Sequence[Any] | None, bool], Prompt]


@dataclass
class _Rendered:
    """The rendered texts of one turn."""

    prompt: Prompt
    closed: Prompt | None
    alone: Prompt | None


def encode_rendered(
    conversation: Conversation, make: MakePrompt, encoder: PieceEncoder, eos: int | None
) -> list[TokenizedTurn]:
    """The turns in token ids. Raises TokenizerError if a prompt cannot be rendered."""
    turns = [*_rendered(conversation, make)]
    if not turns:
        return []
    encoded = _encoded(turns, encoder)
    whole = turns[-1].closed or turns[-1].prompt
    tokenized: list[TokenizedTurn] = []
    context, context_spans = np.empty(0, np.int32), NO_SPANS
    known: dict[Prompt, Spans] = {}
    for turn, logged in zip(turns, conversation.turns, strict=True):
        prompt = encoded[turn.prompt]
        reply = _reply(turn, prompt.ids, encoded, eos)
        kept = common_prefix(context, prompt.ids)
        spans = _spans(turn.prompt, turn.prompt.placed_by(whole), prompt)
        if turn.alone is not None and turn.alone not in known:
            known[turn.alone] = _spans(turn.alone, turn.alone.placed, encoded[turn.alone])
        tokenized.append(
            TokenizedTurn(
                kept_tokens=kept,
                new_ids=prompt.ids[kept:],
                reply_ids=reply,
                alone_ids=None if turn.alone is None else encoded[turn.alone].ids,
                new_spans=new_spans(context_spans, spans),
                alone_spans=NO_SPANS if turn.alone is None else known[turn.alone],
                **of_turn(logged),
            )
        )
        context = np.concatenate([prompt.ids, reply])
        context_spans = with_reply(spans, len(prompt.ids), len(turn.prompt.served))
    return tokenized


def _rendered(conversation: Conversation, make: MakePrompt) -> Iterator[_Rendered]:
    """Each turn's prompt, the prompt with its reply, and the prompt without history.

    Turns of one user message, as those of a tool loop, share the last one.
    """
    alone: Prompt | None = None
    made_of: tuple[int, ...] = ()
    tools_of: ToolDefinitions = ()
    tools: list[dict[str, Any]] | None = None
    for turn, messages in zip(conversation.turns, conversation.prompt_messages(), strict=True):
        same_tools = turn.tools is tools_of
        if not same_tools:
            tools_of, tools = turn.tools, served_tools(turn.tools)
        prompt = make(messages, tools, True)
        closed = None if turn.reply is None else make((*messages, turn.reply), tools, False)
        places = messages_alone(messages)
        of_places = () if places is None else tuple(id(messages[place]) for place in places)
        if of_places != made_of or not same_tools:
            made_of = of_places
            alone = _if_taken(make([messages[place] for place in places], tools, True)) if places else None
        yield _Rendered(prompt, closed, alone)


def _if_taken(prompt: Prompt) -> Prompt | None:
    """The prompt; None if the template refuses it."""
    try:
        _ = prompt.text
    except TokenizerError:
        return None
    return prompt


def _encoded(turns: Sequence[_Rendered], encoder: PieceEncoder) -> dict[Prompt, Encoded]:
    """The tokens of all prompts; the tokenizer is called once."""
    cuts: dict[Prompt, CutText] = {}
    like: CutText | None = None
    for turn in turns:
        for prompt in (turn.prompt, turn.closed):
            if prompt is not None:
                cuts[prompt] = like = encoder.cut(prompt.text, like)
        if turn.alone is not None and turn.alone not in cuts:
            cuts[turn.alone] = encoder.cut(turn.alone.text)
    return dict(zip(cuts, encoder.encode([*cuts.values()]), strict=True))


def _reply(turn: _Rendered, prompt: TokenIds, encoded: Mapping[Prompt, Encoded], eos: int | None) -> TokenIds:
    if turn.closed is None:
        return np.empty(0, np.int32)
    closed = encoded[turn.closed]
    start = len(prompt)
    if not np.array_equal(closed.ids[:start], prompt):
        spans = _spans(turn.closed, turn.closed.placed, closed)
        own = spans[spans[:, 1] == len(turn.prompt.served), 0]
        if not len(own):  # the template does not show the reply
            return np.asarray([] if eos is None else [eos], np.int32)
        start = int(own[0])
    tail = closed.ids[start:]
    ends = [] if eos is None else np.nonzero(tail == eos)[0].tolist()
    return tail[: ends[-1] + 1] if ends else tail


def _spans(prompt: Prompt, placed: Sequence[marks.Placed], encoded: Encoded) -> Spans:
    return marks.spans(prompt.text, placed, prompt.served, prompt.tools or (), encoded)
