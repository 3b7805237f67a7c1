"""Two runs compared, conversation by conversation: how far their hit rates differ, and how sure that is. Pure.

Both arms answer the same conversations, so a conversation is the unit that is resampled: its requests share their
history, and which conversations a dataset happens to hold is the chance that the interval speaks of.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Sums = tuple[Floats, Floats]
"""Numerators and denominators of a rate. Shape of each: (num_conversations,)."""

CONFIDENCE = 0.95
DRAWS = 10_000
HEADLINE = "hit_rate/first_prefill"
ALL_TIERS = "hit_rate/first_prefill_all_tiers"
_BATCH_CELLS = 4_000_000  # draws x conversations that are held at once
_FEW = 20  # conversations, below which a bootstrap interval is known to be too narrow

RATES: Mapping[str, tuple[str, str]] = {
    HEADLINE: ("hit_blocks", "full_blocks"),
    ALL_TIERS: ("all_tiers_blocks", "full_blocks"),
    "hit_rate/first_prefill_tokens": ("cached_tokens", "prompt_tokens"),
    "hit_rate/per_request_mean": ("cached_share", "requests"),
    "hit_rate/steady": ("steady_cached_tokens", "steady_prompt_tokens"),
    "hit_rate/ideal": ("ideal_hit_blocks", "full_blocks"),
    "hit_rate/of_ideal": ("hit_blocks", "ideal_hit_blocks"),
}
"""The hit rates that are a ratio of sums over requests: name -> columns of numerator and denominator.

vLLM's own counters are totals of an engine, not of conversations: they have a difference, but no interval.
"""


@dataclass(frozen=True, eq=False)
class Arm:
    """A run in per-conversation sums of its completed requests. Shape of each column: (num_conversations,)."""

    name: str
    conversations: Sequence[str]
    columns: Mapping[str, Floats]


@dataclass(frozen=True, slots=True)
class Difference:
    """One rate in two arms: `difference` is arm - baseline, [`low`, `high`] its interval (None: there is none)."""

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
        """Arm / baseline; None where the baseline is 0."""
        return self.arm / self.baseline if self.baseline else None

    @property
    def verdict(self) -> Literal["higher", "lower", "no difference shown", "no interval"]:
        """What the interval says: a difference is shown if it does not hold 0."""
        if self.low is None or self.high is None:
            return "no interval"
        if self.low > 0:
            return "higher"
        return "lower" if self.high < 0 else "no difference shown"


@dataclass(frozen=True, slots=True)
class Comparison:
    """An arm against a baseline, over the conversations of which both completed requests."""

    arm: str
    baseline: str
    num_conversations: int
    only_in_arm: int
    only_in_baseline: int
    differences: Mapping[str, Difference]

    @property
    def headline(self) -> Difference | None:
        """The difference that the verdict is about: of all tiers together where one arm was given blocks by a host."""
        return self.differences.get(ALL_TIERS) or self.differences.get(HEADLINE)

    @property
    def verdict(self) -> str:
        """One line that follows from the headline's interval."""
        names = f"{self.arm} and {self.baseline}"
        if not self.num_conversations:
            return f"not comparable: {names} have no conversation in common"
        headline = self.headline
        if headline is None:
            return f"not comparable: {names} have no full prompt block in their common conversations"
        points = f"{100 * headline.difference:+.2f} points" + (" (all tiers)" if headline.metric == ALL_TIERS else "")
        if headline.low is None or headline.high is None:
            return f"no verdict: {names} share one conversation only, their hit rates differ by {points}"
        interval = f"{100 * CONFIDENCE:g} % interval {100 * headline.low:+.2f} to {100 * headline.high:+.2f}"
        of = f"{self.num_conversations:,} conversations"
        rough = ", few: the interval is rough" if self.num_conversations < _FEW else ""
        if headline.verdict == "no difference shown":
            return f"no difference shown between {names}: {points} ({interval}; {of}{rough})"
        return f"{self.arm} is {headline.verdict} than {self.baseline}: {points} ({interval}; {of}{rough})"


def arm_of(name: str, table: Mapping[str, Sequence[Any]]) -> Arm:
    """An arm from the columns of a run's requests.parquet."""
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


def compare(arm: Arm, baseline: Arm, seed: int = 0) -> Comparison:
    """Every rate of both arms over their common conversations; a rate with an empty denominator is left out."""
    common, in_arm, in_baseline = np.intersect1d(
        np.asarray(arm.conversations, dtype=np.str_),
        np.asarray(baseline.conversations, dtype=np.str_),
        assume_unique=True,
        return_indices=True,
    )
    differences: dict[str, Difference] = {}
    for metric, (numerator, denominator) in RATES.items():
        own = (arm.columns[numerator][in_arm], arm.columns[denominator][in_arm])
        other = (baseline.columns[numerator][in_baseline], baseline.columns[denominator][in_baseline])
        if not own[1].sum() or not other[1].sum():
            continue
        if metric == ALL_TIERS and not any(side.columns["host_hit_blocks"].sum() for side in (arm, baseline)):
            continue
        low, high = interval(own, other, seed) if len(common) > 1 else (None, None)
        differences[metric] = Difference(metric, rate(*own), rate(*other), low, high)
    return Comparison(
        arm.name,
        baseline.name,
        len(common),
        len(arm.conversations) - len(common),
        len(baseline.conversations) - len(common),
        differences,
    )


def rate(numerator: Floats, denominator: Floats) -> float:
    """Sum by sum."""
    return float(numerator.sum() / denominator.sum())


def interval(arm: Sums, baseline: Sums, seed: int) -> tuple[float | None, float | None]:
    """Percentile interval of rate(arm) - rate(baseline) when the conversations are drawn again, with replacement.

    A draw whose denominator is empty says nothing and is left out; (None, None) if that is all of them.
    Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 10.3 (ratios of sums) and 13.
    """
    from scipy.stats import DegenerateDataWarning, bootstrap

    def difference(a: Floats, b: Floats, c: Floats, d: Floats, axis: int = -1) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            drawn: Floats = a.sum(axis=axis) / b.sum(axis=axis) - c.sum(axis=axis) / d.sum(axis=axis)
        return drawn

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateDataWarning)  # of its own interval, which is not used
        draws = bootstrap(
            (*arm, *baseline),
            difference,
            paired=True,
            vectorized=True,
            n_resamples=DRAWS,
            batch=max(1, _BATCH_CELLS // len(arm[0])),
            method="percentile",
            rng=np.random.default_rng(seed),
        ).bootstrap_distribution
    known = draws[np.isfinite(draws)]
    if not len(known):
        return None, None
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(known, [tail, 1 - tail])
    return float(low), float(high)
