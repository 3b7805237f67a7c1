"""Prompt history: which replies the later prompts of a conversation repeat."""

from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np

from cachelab.request import Request
from cachelab.tokens import AnyTokens

HistoryName = Literal["recorded", "forced", "generated"]

REAL_NOTES: dict[HistoryName, str] = {
    "recorded": (
        "history=recorded: prompts repeat the dataset's replies, but the model generated other ones. Only the blocks "
        "of the previous prompt can be hit, not those of its reply: the hit rate is lower than in production."
    ),
    "forced": (
        "history=forced: the model was made to emit the dataset's replies, and the next prompts repeat them. The "
        "blocks of replies can be hit, as in production."
    ),
    "generated": (
        "history=generated: prompts repeat the token ids that the engine generated, as many as the dataset's reply "
        "has, or engine.max_output_tokens if that is less. The blocks of replies can be hit, as in production. The "
        "prompts are not the dataset's."
    ),
}
"""What each choice means for the hit rate of an engine with a model."""

SIMULATED_NOTES: dict[HistoryName, str] = {
    "recorded": "history=recorded: the replies are the dataset's; their blocks can be hit, as with history=forced.",
    "forced": "history=forced: the replies are the dataset's; their blocks can be hit. The simulator emits no others.",
    "generated": "history=generated: prompts repeat the simulator's replies: the dataset's, cut where a limit applies.",
}
"""What each choice means for the hit rate of the simulator, which generates nothing itself."""


class HistoryLost(Exception):
    """A turn's prompt cannot be made. The text is the reason of its rejection. Only the driver catches it."""


class History(Protocol):
    """Makes each request's prompt, in the order of submission."""

    def prompt_ids(self, request: Request) -> AnyTokens:
        """The prompt to send: token ids, int32, shape (prompt_tokens,). Raises HistoryLost if it cannot be made."""
        ...

    def note(self, request: Request, prompt_ids: AnyTokens, output_ids: AnyTokens) -> None:
        """Remember the prompt that was sent for a request and the engine's reply."""
        ...


class RecordedReplies:
    """The prompts of the trace, unchanged."""

    def prompt_ids(self, request: Request) -> AnyTokens:
        return request.prompt_ids

    def note(self, request: Request, prompt_ids: AnyTokens, output_ids: AnyTokens) -> None:
        """Nothing to remember."""


@dataclass
class ClosedLoop:
    """Prompts with the engine's own replies as token ids. Keeps one context per conversation."""

    _contexts: dict[str, tuple[Request, AnyTokens]] = field(default_factory=dict)

    def prompt_ids(self, request: Request) -> AnyTokens:
        if request.follows is None:
            return request.prompt_ids
        if request.follows not in self._contexts:
            raise HistoryLost(f"history=generated: the previous turn, {request.follows}, was rejected")
        before, context = self._contexts.pop(request.follows)
        recorded = len(before.prompt_ids) + len(before.reply_ids)
        if request.kept_tokens < recorded:
            raise HistoryLost(
                "history=generated: the prompt does not extend the previous turn (trace/prefix_breaks): "
                "the generated reply cannot be inserted"
            )
        return np.concatenate([context, request.prompt_ids[recorded:]])

    def note(self, request: Request, prompt_ids: AnyTokens, output_ids: AnyTokens) -> None:
        self._contexts[request.id] = request, np.concatenate([prompt_ids, output_ids])


def history(name: HistoryName) -> History:
    """The maker of a run's prompts."""
    return ClosedLoop() if name == "generated" else RecordedReplies()
