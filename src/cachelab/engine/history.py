"""What the assistant said: whose words a later prompt repeats."""

from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np

from cachelab.request import Request
from cachelab.tokens import AnyTokens

HistoryName = Literal["recorded", "forced", "generated"]

MEANINGS: dict[HistoryName, str] = {
    "recorded": (
        "history=recorded: prompts repeat the dataset's replies, the model generated its own, so that of the turn "
        "before only the prompt's blocks can be hit, never the reply's: a lower hit rate than in production."
    ),
    "forced": (
        "history=forced: the model was made to emit the dataset's replies, which the next prompts repeat, so that the "
        "reply's blocks can be hit as in production."
    ),
    "generated": (
        "history=generated: prompts repeat what the engine itself generated (token ids, as long as the dataset's "
        "replies), so that the reply's blocks can be hit as in production; the prompts are not the dataset's."
    ),
}
"""What a choice means for the hit rate on an engine whose model generates tokens of its own."""

SIMULATED: dict[HistoryName, str] = {
    "recorded": "history=recorded: the replies are the dataset's; their blocks can be hit, as with history=forced.",
    "forced": "history=forced: the replies are the dataset's and their blocks can be hit; the sim emits no others.",
    "generated": "history=generated: prompts repeat what the sim emitted: the dataset's replies, as far as not cut.",
}
"""The same on the simulator, which generates nothing of its own."""


class HistoryLost(Exception):
    """A turn's prompt cannot be made; the text is the reason of its rejection. Never leaves the driver."""


class History(Protocol):
    """Makes each request's prompt, in the order of submission."""

    def prompt_ids(self, request: Request) -> AnyTokens:
        """The prompt to send. Raises HistoryLost. Shape: (prompt_tokens,)."""
        ...

    def note(self, request: Request, prompt_ids: AnyTokens, output_ids: AnyTokens) -> None:
        """Take note of what was sent for a request and what the engine answered."""
        ...


class RecordedReplies:
    """Prompts as the trace holds them."""

    def prompt_ids(self, request: Request) -> AnyTokens:
        return request.prompt_ids

    def note(self, request: Request, prompt_ids: AnyTokens, output_ids: AnyTokens) -> None:
        """Nothing to remember."""


@dataclass
class ClosedLoop:
    """Prompts with the engine's own replies, token ids carried over; remembers one context a conversation."""

    _contexts: dict[str, tuple[Request, AnyTokens]] = field(default_factory=dict)

    def prompt_ids(self, request: Request) -> AnyTokens:
        if request.follows is None:
            return request.prompt_ids
        if request.follows not in self._contexts:
            raise HistoryLost(f"history=generated: its turn before, {request.follows}, was rejected")
        before, context = self._contexts.pop(request.follows)
        recorded = len(before.prompt_ids) + len(before.reply_ids)
        if request.kept_tokens < recorded:
            raise HistoryLost(
                "history=generated: the prompt does not extend the turn before (trace/prefix_breaks): "
                "there is no place for another reply in it"
            )
        return np.concatenate([context, request.prompt_ids[recorded:]])

    def note(self, request: Request, prompt_ids: AnyTokens, output_ids: AnyTokens) -> None:
        self._contexts[request.id] = request, np.concatenate([prompt_ids, output_ids])


def history(name: HistoryName) -> History:
    """The prompts of a run."""
    return ClosedLoop() if name == "generated" else RecordedReplies()
