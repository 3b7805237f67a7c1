"""Conversations as bars, one per prompt: which tokens were reused, new, or behind a break."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cachelab.explanation import CLASSES, Break, ExplainedRequest, Explanation
from cachelab.report.explanation.changed_text import printable
from cachelab.report.explanation.token_shares import Share, of_request

MAX_CONVERSATIONS = 12
MAX_TURNS = 80


@dataclass(frozen=True, slots=True)
class Bar:
    """One prompt. `percents`: each share of its tokens, in percent of the longest prompt of the conversation.

    `title` states the break in words ("" if there is none); `break_percent` is its place on the same scale.
    """

    turn: int
    prompt_tokens: int
    tokens: Mapping[Share, int]
    percents: Mapping[Share, float]
    found: Break | None
    title: str
    break_percent: float | None


@dataclass(frozen=True, slots=True)
class ConversationBars:
    """One conversation. `turns_left_out`: how many further prompts it has."""

    id: str
    group: str | None
    requests: int
    behind_tokens: int
    bars: Sequence[Bar]
    turns_left_out: int


def conversation_bars(explanation: Explanation) -> tuple[list[ConversationBars], int]:
    """The conversations with most tokens behind a break, and how many further ones there are."""
    by_id: dict[str, list[ExplainedRequest]] = {}
    for request in explanation.requests:
        by_id.setdefault(request.conversation_id, []).append(request)
    ranked = sorted(by_id.values(), key=lambda found: (-_behind(found), -len(found)))
    return [_bars(found) for found in ranked[:MAX_CONVERSATIONS]], max(0, len(ranked) - MAX_CONVERSATIONS)


def _bars(requests: Sequence[ExplainedRequest]) -> ConversationBars:
    turns = sorted(requests, key=lambda request: request.turn_index)
    shown = turns[:MAX_TURNS]
    longest = max(request.prompt_tokens for request in shown) or 1
    return ConversationBars(
        id=printable(turns[0].conversation_id),
        group=None if turns[0].group is None else printable(turns[0].group),
        requests=len(turns),
        behind_tokens=_behind(turns),
        bars=[_bar(request, longest) for request in shown],
        turns_left_out=len(turns) - len(shown),
    )


def _bar(request: ExplainedRequest, longest: int) -> Bar:
    tokens = of_request(request)
    found = request.found
    return Bar(
        turn=request.turn_index,
        prompt_tokens=request.prompt_tokens,
        tokens=tokens,
        percents={share: 100 * number / longest for share, number in tokens.items()},
        found=found,
        title="" if found is None else _title(found),
        break_percent=None if found is None else 100 * found.token / longest,
    )


def _title(found: Break) -> str:
    if found.earlier_turns is None:
        earlier = "a request of another conversation"
    else:
        earlier = "the turn before" if found.earlier_turns == 1 else f"the prompt {found.earlier_turns} turns before"
    return (
        f"{CLASSES[found.kind].title}, {found.place.label}: token {found.token:,} differs from {earlier}; "
        f"{found.behind_tokens:,} tokens behind it"
    )


def _behind(requests: Sequence[ExplainedRequest]) -> int:
    return sum(request.behind_tokens for request in requests)
