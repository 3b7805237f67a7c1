"""Keeps conversations by their number of turns, the lengths of their prompts, and limits on the total."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from pydantic.dataclasses import dataclass

from cachelab.errors import ConfigError
from cachelab.filter.base import Filtered
from cachelab.strict_config import STRICT, Count
from cachelab.tokenized_conversation import TokenizedConversation

Reason = Literal["min_turns", "max_turns", "max_prompt_tokens", "max_conversations", "max_requests"]
REASONS: tuple[Reason, ...] = ("min_turns", "max_turns", "max_prompt_tokens", "max_conversations", "max_requests")

Limit = Count | None


@dataclass(frozen=True, config=STRICT)
class Thresholds:
    """Drops a conversation that breaks a limit (keep: whole), or cuts it before the turn that breaks it (keep: prefix).

    A conversation is dropped for exactly one reason: `min_turns`, otherwise the limit that its earliest bad turn
    breaks, otherwise a limit on the total. If a cut leaves fewer than `min_turns`, the reason is the limit that caused
    the cut. The totals (`max_conversations`, `max_requests`) are filled in the dataset's order. From the first
    conversation that does not fit, all are dropped, also shorter ones: a larger limit then keeps everything that a
    smaller one keeps. None means no limit. Raises ConfigError if min_turns is greater than max_turns.
    """

    min_turns: Limit = None
    max_turns: Limit = None
    max_prompt_tokens: Limit = None
    max_conversations: Limit = None
    max_requests: Limit = None
    keep: Literal["whole", "prefix"] = "whole"

    def __post_init__(self) -> None:
        if self.min_turns is not None and self.max_turns is not None and self.min_turns > self.max_turns:
            raise ConfigError(
                f"filter.min_turns {self.min_turns} is greater than filter.max_turns {self.max_turns}: "
                "no conversation can satisfy both, so raise max_turns or lower min_turns"
            )

    def apply(self, conversations: Sequence[TokenizedConversation]) -> Filtered:
        """The kept conversations, in the given order, and counts.

        `tokens_kept_share` is the kept share of the prompt tokens of all turns.
        """
        kept: list[TokenizedConversation] = []
        dropped: dict[Reason, int] = dict.fromkeys(REASONS, 0)
        requests_kept = conversations_cut = turns_cut = 0
        closed: Reason | None = None
        for conversation in conversations:
            turns, reason = self._fitting(conversation)
            if turns and closed is None:
                turns, closed = self._room(turns, len(kept), requests_kept)
                reason = closed
            elif turns:
                turns, reason = 0, closed
            if not turns:
                dropped[reason or "min_turns"] += 1
                continue
            cut = len(conversation.turns) - turns
            kept.append(replace(conversation, turns=conversation.turns[:turns]) if cut else conversation)
            requests_kept += turns
            conversations_cut += cut > 0
            turns_cut += cut
        numbers: dict[str, float] = {
            "conversations_kept": len(kept),
            "requests_kept": requests_kept,
            "conversations_cut": conversations_cut,
            "turns_cut": turns_cut,
        }
        numbers |= {f"dropped_{reason}": count for reason, count in dropped.items()}
        if all_tokens := sum(conversation.prompt_tokens for conversation in conversations):
            numbers["tokens_kept_share"] = sum(conversation.prompt_tokens for conversation in kept) / all_tokens
        return Filtered(kept, numbers)

    def _fitting(self, conversation: TokenizedConversation) -> tuple[int, Reason | None]:
        """How many turns the limits on one conversation leave (0: dropped), and the limit that cuts or drops it."""
        all_turns = turns = len(conversation.turns)
        if turns < self._fewest:
            return 0, "min_turns"
        reason: Reason | None = None
        if self.max_turns is not None and turns > self.max_turns:
            turns, reason = self.max_turns, "max_turns"
        if self.max_prompt_tokens is not None:
            for i, turn in enumerate(conversation.turns[:turns]):
                if turn.prompt_tokens > self.max_prompt_tokens:
                    turns, reason = i, "max_prompt_tokens"
                    break
        return self._after_cut(turns, all_turns), reason

    def _room(self, turns: int, conversations_kept: int, requests_kept: int) -> tuple[int, Reason | None]:
        """How many of the turns the limits on the total leave (0: dropped), and the limit that is now reached."""
        if self.max_conversations is not None and conversations_kept == self.max_conversations:
            return 0, "max_conversations"
        if self.max_requests is not None and requests_kept + turns > self.max_requests:
            return self._after_cut(self.max_requests - requests_kept, turns), "max_requests"
        return turns, None

    def _after_cut(self, turns: int, before: int) -> int:
        return 0 if turns < self._fewest or (turns < before and self.keep == "whole") else turns

    @property
    def _fewest(self) -> int:
        return self.min_turns or 1
