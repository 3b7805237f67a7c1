"""Compares the hit rates of two runs, paired by conversation, with a bootstrap interval. Pure.

The bootstrap resamples conversations, because the requests of a conversation share their history. The interval
describes how the difference varies with the choice of conversations.
"""

import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Sums = tuple[Floats, Floats]
"""Numerators and denominators of a rate. Shape of each: (num_conversations,)."""

Drawn = dict[tuple[bytes, bytes], Floats]
"""The rates in all draws, by the bytes of the sums."""

CONFIDENCE = 0.95
DRAWS = 10_000
HEADLINE = "hit_rate/first_prefill"
ALL_TIERS = "hit_rate/first_prefill_all_tiers"
_BATCH_CELLS = 4_000_000  # draws x conversations in memory at once
_FEW = 20  # with fewer conversations a bootstrap interval is too narrow

RATES: Mapping[str, tuple[str, str]] = {
    HEADLINE: ("hit_blocks", "full_blocks"),
    ALL_TIERS: ("all_tiers_blocks", "full_blocks"),
    "hit_rate/first_prefill_tokens": ("cached_tokens", "prompt_tokens"),
    "hit_rate/per_request_mean": ("cached_share", "requests"),
    "hit_rate/steady": ("steady_cached_tokens", "steady_prompt_tokens"),
    "hit_rate/later_turns": ("later_cached_tokens", "later_prompt_tokens"),
    "hit_rate/ideal": ("ideal_hit_blocks", "full_blocks"),
    "hit_rate/of_ideal": ("hit_blocks", "ideal_hit_blocks"),
}
"""Hit rates that are a ratio of sums over requests: name -> columns of numerator and denominator.

vLLM's own counters are totals of an engine, not of conversations. They have no interval.
"""


@dataclass(frozen=True, eq=False)
class Arm:
    """One run of a comparison, as sums over the completed requests of each conversation.

    Each column is a float64 array of shape (num_conversations,).
    """

    name: str
    conversations: Sequence[str]
    columns: Mapping[str, Floats]


@dataclass(frozen=True, slots=True)
class Difference:
    """One rate of two runs: `difference` is arm - baseline, [`low`, `high`] its interval (None: no interval)."""

    metric: str
    arm: float
    baseline: float
    low: float | None
    high: float | None

    @property
    def difference(self) -> float:
        return self.arm - self.baseline

    @property
    def ratio(self) -> float | None:
        """Arm / baseline; None if the baseline is 0."""
        return self.arm / self.baseline if self.baseline else None

    @property
    def verdict(self) -> Literal["higher", "lower", "no difference shown", "no interval"]:
        """Higher or lower if the interval does not contain 0."""
        if self.low is None or self.high is None:
            return "no interval"
        if self.low > 0:
            return "higher"
        return "lower" if self.high < 0 else "no difference shown"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A run compared with a baseline, over the conversations in which both completed requests.

    `metric`: the rate that the verdict is about.
    """

    arm: str
    baseline: str
    num_conversations: int
    only_in_arm: int
    only_in_baseline: int
    differences: Mapping[str, Difference]
    metric: str = HEADLINE

    @property
    def headline(self) -> Difference | None:
        """The difference for the verdict: of `metric`; of all cache tiers if one of the runs hit a host tier."""
        if self.metric != HEADLINE:
            return self.differences.get(self.metric)
        return self.differences.get(ALL_TIERS) or self.differences.get(HEADLINE)

    @property
    def verdict(self) -> str:
        """The result in one line, derived from the interval of the headline."""
        names = f"{self.arm} and {self.baseline}"
        if not self.num_conversations:
            return f"not comparable: {names} have no conversation in common"
        headline = self.headline
        if headline is None:
            return f"not comparable: {names} have no full prompt block in their common conversations"
        of_what = {HEADLINE: "", ALL_TIERS: " (all tiers)"}.get(headline.metric, f" of {short_name(headline.metric)}")
        points = f"{100 * headline.difference:+.2f} points{of_what}"
        if headline.low is None or headline.high is None:
            return f"no verdict: {names} have only one conversation in common, their hit rates differ by {points}"
        if headline.verdict == "no difference shown":
            return f"no difference shown between {names}: {points} ({self.basis})"
        return f"{self.arm} is {headline.verdict} than {self.baseline}: {points} ({self.basis})"

    @property
    def basis(self) -> str:
        """What the verdict is based on: the headline's interval, and the number of conversations; "" without one."""
        headline = self.headline
        if headline is None or headline.low is None or headline.high is None:
            return ""
        interval = f"{100 * CONFIDENCE:g} % interval {100 * headline.low:+.2f} to {100 * headline.high:+.2f}"
        rough = ", few: the interval is rough" if self.num_conversations < _FEW else ""
        return f"{interval}; {self.num_conversations:,} conversations{rough}"


def arm_of(name: str, table: Mapping[str, Sequence[Any]]) -> Arm:
    """The Arm of a run, from the columns of its requests.parquet."""
    done = [row for row, outcome in enumerate(table["outcome"]) if outcome == "completed"]
    names = (
        "prompt_tokens",
        "cached_tokens",
        "full_blocks",
        "hit_blocks",
        "host_hit_blocks",
        "ideal_hit_blocks",
        "prefill_index",
    )
    columns = {key: np.asarray([table[key][row] for row in done], dtype=np.float64) for key in names}
    columns["all_tiers_blocks"] = columns["hit_blocks"] + columns["host_hit_blocks"]
    later = np.asarray([table["turn_index"][row] > 0 for row in done], dtype=bool)
    columns["later_cached_tokens"] = np.where(later, columns["cached_tokens"], 0.0)
    columns["later_prompt_tokens"] = np.where(later, columns["prompt_tokens"], 0.0)
    steady = np.zeros(len(done), dtype=bool)
    steady[np.argsort(columns["prefill_index"], kind="stable")[len(done) // 2 :]] = True
    columns["requests"] = np.ones(len(done))
    columns["cached_share"] = columns["cached_tokens"] / np.maximum(columns["prompt_tokens"], 1)
    columns["steady_cached_tokens"] = np.where(steady, columns["cached_tokens"], 0.0)
    columns["steady_prompt_tokens"] = np.where(steady, columns["prompt_tokens"], 0.0)
    of = np.asarray([table["conversation_id"][row] for row in done], dtype=np.str_)
    conversations, row_of = np.unique(of, return_inverse=True)
    sums = {
        key: np.bincount(row_of, weights=values, minlength=len(conversations)).astype(np.float64)
        for key, values in columns.items()
        if key != "prefill_index"
    }
    return Arm(name, conversations.tolist(), sums)


def short_name(metric: str) -> str:
    """The name of a hit rate without its group."""
    return metric.removeprefix("hit_rate/")


def compare(
    arm: Arm,
    baseline: Arm,
    seed: int = 0,
    metric: str = HEADLINE,
    rates: Collection[str] = tuple(RATES),
    drawn: Drawn | None = None,
) -> Comparison:
    """Compare the rates over the common conversations; a rate with a zero denominator is omitted.

    `metric`: the rate of the verdict. `drawn`: see `interval`.
    """
    common, in_arm, in_baseline = np.intersect1d(
        np.asarray(arm.conversations, dtype=np.str_),
        np.asarray(baseline.conversations, dtype=np.str_),
        assume_unique=True,
        return_indices=True,
    )
    differences: dict[str, Difference] = {}
    for name in rates:
        numerator, denominator = RATES[name]
        own = (arm.columns[numerator][in_arm], arm.columns[denominator][in_arm])
        other = (baseline.columns[numerator][in_baseline], baseline.columns[denominator][in_baseline])
        if not own[1].sum() or not other[1].sum():
            continue
        if name == ALL_TIERS and not any(side.columns["host_hit_blocks"].sum() for side in (arm, baseline)):
            continue
        low, high = interval(own, other, seed, drawn) if len(common) > 1 else (None, None)
        differences[name] = Difference(name, rate(*own), rate(*other), low, high)
    return Comparison(
        arm.name,
        baseline.name,
        len(common),
        len(arm.conversations) - len(common),
        len(baseline.conversations) - len(common),
        differences,
        metric,
    )


def rate(numerator: Floats, denominator: Floats) -> float:
    """The sum of the numerators divided by the sum of the denominators."""
    return float(numerator.sum() / denominator.sum())


def interval(arm: Sums, baseline: Sums, seed: int, drawn: Drawn | None = None) -> tuple[float | None, float | None]:
    """Percentile interval of rate(arm) - rate(baseline) over draws of the conversations with replacement.

    A draw with a zero denominator is omitted; (None, None) if no draw is left. Without draws, equal sums have (0, 0).
    `drawn` keeps what was drawn for the next comparison with the same seed; the interval is the same without it.
    Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 10.3 (ratios of sums) and 13.
    """
    if arm[1].any() and all(map(np.array_equal, arm, baseline)):
        return 0.0, 0.0  # every draw differs by 0, and the draws of 10,000 conversations take seconds
    drawn = {} if drawn is None else drawn
    keys = [(numerator.tobytes(), denominator.tobytes()) for numerator, denominator in (arm, baseline)]
    missing = {key: sums for key, sums in zip(keys, (arm, baseline), strict=True) if key not in drawn}
    if missing:
        drawn.update(zip(missing, drawn_rates(list(missing.values()), seed), strict=True))
    draws = drawn[keys[0]] - drawn[keys[1]]
    known = draws[np.isfinite(draws)]
    if not len(known):
        return None, None
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(known, [tail, 1 - tail])
    return float(low), float(high)


def drawn_rates(sides: Sequence[Sums], seed: int) -> Floats:
    """The rate of each side in each draw, the same draws for all. Shape: (num_sides, DRAWS)."""
    from scipy.stats import DegenerateDataWarning, bootstrap

    def rates(*sums: Floats, axis: int = -1) -> Floats:
        return np.stack([a.sum(axis=axis) / b.sum(axis=axis) for a, b in zip(sums[::2], sums[1::2], strict=True)])

    # A draw with a zero denominator is nan or inf here.
    with np.errstate(divide="ignore", invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateDataWarning)  # about scipy's own interval, which is not used
        distribution: Floats = bootstrap(
            [column for sums in sides for column in sums],
            rates,
            paired=True,
            vectorized=True,
            n_resamples=DRAWS,
            batch=max(1, _BATCH_CELLS // len(sides[0][0])),
            method="percentile",
            rng=np.random.default_rng(seed),
        ).bootstrap_distribution
    return distribution
