"""The tokens of a request, divided into units: one for each message, and one for the tool definitions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from cachelab.request import Request
from cachelab.spans import TEMPLATE, TOOLS, with_reply
from cachelab.tokens import TokenIds

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Unit:
    """Tokens from `start` up to `end` of one message or of the tools; template tokens follow up to `after`.

    The token that ends a reply is one of the template's: some templates show a reply without it.
    `source` is the index of the message, the number of messages for the reply, or conversation.TOOLS.
    """

    start: int
    end: int
    after: int
    source: int
    role: str


@dataclass(frozen=True, slots=True, eq=False)
class Rendered:
    """A prompt, or a prompt and its reply, in tokens. Template tokens before the first unit belong to no unit.

    Shape of ids: (num_tokens,).
    """

    ids: TokenIds
    units: Sequence[Unit]

    @classmethod
    def prompt(cls, request: Request) -> "Rendered":
        """The prompt of a request."""
        return cls._of(np.asarray(request.prompt_ids), request, False)

    @classmethod
    def whole(cls, request: Request, reply_tokens: int) -> "Rendered":
        """The prompt and the first tokens of the reply, as many as were generated."""
        ids = np.concatenate([np.asarray(request.prompt_ids), np.asarray(request.reply_ids[:reply_tokens])])
        return cls._of(ids, request, True)

    @classmethod
    def _of(cls, ids: TokenIds, request: Request, reply: bool) -> "Rendered":
        spans = request.spans
        if reply:
            spans = with_reply(spans, len(request.prompt_ids), len(request.messages))
        end_of_reply = int(request.reply_ids[-1:][0]) if len(request.reply_ids) else None
        rows = [(start, source) for start, source in spans.tolist() if start < len(ids)]
        units: list[Unit] = []
        for (start, source), end in zip(rows, [*(start for start, _ in rows[1:]), len(ids)], strict=True):
            if source != TEMPLATE:
                role = _role(request, source)
                ended = role == "assistant" and end - start > 1 and ids[end - 1] == end_of_reply
                units.append(Unit(start, end - ended, end, source, role))
            elif units:
                last = units[-1]
                units[-1] = Unit(last.start, last.end, end, last.source, last.role)
        return cls(ids, units)

    def tokens(self, unit: Unit) -> TokenIds:
        """The tokens of a unit, without those of the template."""
        return self.ids[unit.start : unit.end]

    def source_at(self, token: int) -> int:
        """The source of a token: of a unit, or conversation.TEMPLATE."""
        unit = next((unit for unit in self.units if unit.start <= token < unit.end), None)
        return TEMPLATE if unit is None else unit.source

    def first_unit(self, token: int) -> int:
        """The index of the first unit that ends after a token."""
        return next((at for at, unit in enumerate(self.units) if unit.end > token), len(self.units))


def _role(request: Request, source: int) -> str:
    if source == TOOLS:
        return "tools"
    return request.messages[source].role if source < len(request.messages) else "assistant"


@dataclass(eq=False)
class LineEnds:
    """Which tokens end a line: those whose text holds a line break. `decode` gives the text of token ids."""

    decode: Callable[[Sequence[int]], str]
    _known: npt.NDArray[np.int8] = field(default_factory=lambda: np.full(0, -1, np.int8))

    def of(self, ids: TokenIds) -> Mask:
        """Whether each token ends a line. Shape: (num_tokens,)."""
        if not len(ids):
            return np.zeros(0, np.bool_)
        if (most := int(ids.max())) >= len(self._known):
            more = np.full(max(most + 1, 2 * len(self._known)) - len(self._known), -1, np.int8)
            self._known = np.concatenate([self._known, more])
        for token in np.unique(ids[self._known[ids] < 0]).tolist():
            self._known[token] = "\n" in self.decode([token])
        ends: Mask = self._known[ids] > 0
        return ends
