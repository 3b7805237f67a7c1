"""What an explanation holds: every request with its break, the causes, and what each fix gives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cachelab.explanation.break_class import CLASSES, BreakClass
from cachelab.explanation.prompt_break import Break
from cachelab.metrics.base import Ratio
from cachelab.price.base import Price
from cachelab.price.prompt_tokens import PromptTokens
from cachelab.tokenized_conversation import TokenizedConversation


@dataclass(frozen=True, slots=True)
class ExplainedRequest:
    """One completed request. `reused_tokens` + `other_tokens` + `behind_tokens` + `new_tokens` = `prompt_tokens`.

    `reused_tokens`: found in the cache. `behind_tokens` and `new_tokens`: the two parts of the waterfall's never_seen.
    `other_tokens`: all other terms of the waterfall (block rounding, last token, in flight, other, eviction,
    capacity). `group`: the value of the field `explain.by` (None: not grouped, or the request has no such field).
    """

    id: str
    conversation_id: str
    turn_index: int
    prompt_tokens: int
    reused_tokens: int
    other_tokens: int
    behind_tokens: int
    new_tokens: int
    found: Break | None
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Cause:
    """Breaks of one class at one place, and what undoing them gives.

    `example`: the break of this cause with the most tokens behind it; None if the cause is nobody's first break, since
    another cause breaks these prompts before it. `requests`: how many requests break here first. `tokens`: prompt
    tokens behind these breaks. Hit rates are `hit_rate/first_prefill`. `hit_rate_before`: the run's.
    `hit_rate_alone`: of the workload with this cause undone, in the same engine. `hit_rate_cumulative`: with this cause
    and all earlier ones of the list undone. Both are None for a cause that is not undone. `hit_rate_other_fix`: with
    this cause alone fixed in its second way, which `other_fix` states (None: it has none). `tokens_before` and
    `tokens_alone`: the prompt tokens of the two runs by what the cache did with them. `too_long`: how many requests do
    not run with this cause alone undone, since they are then too long; they are not in `hit_rate_alone`.
    """

    kind: BreakClass
    place: str
    role: str
    before: str
    after: str
    requests: int
    tokens: int
    hit_rate_before: Ratio
    hit_rate_alone: Ratio | None = None
    hit_rate_cumulative: Ratio | None = None
    example: Break | None = None
    tokens_before: PromptTokens | None = None
    tokens_alone: PromptTokens | None = None
    hit_rate_other_fix: Ratio | None = None
    too_long: int = 0

    @property
    def phrase(self) -> str:
        """The cause as the subject of a sentence, such as "a date or time in the system message"."""
        return CLASSES[self.kind].phrase.format(place=self.place)

    @property
    def advice(self) -> str:
        """How to fix it in one sentence; "" if there is nothing to fix."""
        return CLASSES[self.kind].advice

    @property
    def other_fix(self) -> str:
        """What the workload holds when the cause is fixed in its second way; "" if that was not run."""
        return "" if self.hit_rate_other_fix is None else CLASSES[self.kind].other_fix

    @property
    def saved_tokens(self) -> int | None:
        """How many fewer prompt tokens are computed with this cause alone undone.

        None if it is not undone, or if fewer requests run then.
        """
        if self.tokens_before is None or self.tokens_alone is None or self.too_long:
            return None
        return self.tokens_before.computed - self.tokens_alone.computed

    @property
    def points_alone(self) -> float | None:
        """Percentage points that undoing this cause alone gives."""
        return _points(self.hit_rate_before, self.hit_rate_alone)

    @property
    def points_other_fix(self) -> float | None:
        """Percentage points that the second way to fix this cause alone gives."""
        return _points(self.hit_rate_before, self.hit_rate_other_fix)

    @property
    def points_cumulative(self) -> float | None:
        """Percentage points that undoing this cause and all earlier ones of the list gives."""
        return _points(self.hit_rate_before, self.hit_rate_cumulative)


@dataclass(frozen=True, slots=True)
class Group:
    """The requests with one value of the field `explain.by`.

    Token counts are sums over the group. `by_cause`: tokens behind the breaks of each cause, by (class, place).
    `first_tokens`: a histogram of the tokens at which prompts break: upper bound (a power of two) -> requests.
    """

    value: str
    requests: int
    prompt_tokens: int
    reused_tokens: int
    behind_tokens: int
    new_tokens: int
    by_cause: Mapping[tuple[BreakClass, str], int]
    first_tokens: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why the prefixes of a run break, and what fixing it gives.

    `requests`: the completed requests in the order of their first prefills. `causes`: those that are undone first, in
    the order in which they are undone; then those that are not, most tokens first. `hit_rate_all_fixed`: with all
    causes undone that are undone alone (None: no cause is undone). `groups`: one per value of `explain.by`, most
    requests first. `notes`: sentences that a reader must know. `fixed`: the conversations with all causes undone (None:
    no cause is undone). `prefill_token_s`: seconds of prefill per computed prompt token in the engine's cost model,
    which is not measured (None: the engine has none). `price`: what prompt tokens cost (None: no price is given).
    `simulated`: the simulator ran in place of the run's real engine (simulated_run.py).
    `lost`: the tokens of the waterfall's terms other than reused and never_seen; they sum to the requests'
    `other_tokens`.
    """

    hit_rate: Ratio
    hit_rate_all_fixed: Ratio | None
    requests: Sequence[ExplainedRequest]
    causes: Sequence[Cause]
    groups: Sequence[Group] = ()
    notes: tuple[str, ...] = ()
    shows_text: bool = True
    fixed: Sequence[TokenizedConversation] | None = field(default=None, repr=False, compare=False)
    prefill_token_s: float | None = None
    price: Price | None = None
    lost: Mapping[str, int] = field(default_factory=dict)
    simulated: bool = False

    @property
    def verdict(self) -> str:
        """The answer in one line."""
        if not self.requests:
            return "no request completed: there is nothing to explain"
        rate = f"{'simulated ' if self.simulated else ''}hit rate {_percent(self.hit_rate)}"
        undone = [cause for cause in self.causes if cause.hit_rate_alone is not None]
        gains = _points(self.hit_rate, self.hit_rate_all_fixed)
        if self.hit_rate_all_fixed is None or gains is None:
            return f"{rate}: no break of a prefix was found that a change of the prompts avoids"
        without = _percent(self.hit_rate_all_fixed)
        if gains < 0.05:
            found = " and ".join(cause.phrase for cause in undone)
            return f"{rate}; {found}: undone, the hit rate is no higher ({without})"
        if len(undone) == 1:
            return f"{rate}; {undone[0].phrase} costs {gains:.1f} points: without it {without}"
        largest = max(undone, key=lambda cause: cause.points_alone or 0.0)
        return (
            f"{rate}; {len(undone)} causes cost {gains:.1f} points: without them {without}; "
            f"the largest alone: {largest.phrase} ({largest.points_alone or 0.0:.1f} points)"
        )

    @property
    def all_fixed_label(self) -> str:
        """Which causes `hit_rate_all_fixed` is without. Those that are undone come first in the list."""
        undone = sum(cause.hit_rate_alone is not None for cause in self.causes)
        if undone == len(self.causes):
            return "All causes undone"
        return "Cause 1 undone" if undone == 1 else f"Causes 1 to {undone} undone"

    @property
    def prompt_tokens(self) -> int:
        """Prompt tokens of all completed requests."""
        return sum(request.prompt_tokens for request in self.requests)

    @property
    def behind_tokens(self) -> int:
        """Prompt tokens behind a break."""
        return sum(request.behind_tokens for request in self.requests)

    @property
    def new_tokens(self) -> int:
        """Prompt tokens that are new."""
        return sum(request.new_tokens for request in self.requests)


def _percent(ratio: Ratio) -> str:
    return "undefined" if ratio.value is None else f"{100 * ratio.value:.1f} %"


def _points(before: Ratio, after: Ratio | None) -> float | None:
    if after is None or after.value is None or before.value is None:
        return None
    return 100 * (after.value - before.value)
