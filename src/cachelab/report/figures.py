"""The figures of one run. A figure without data is None."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cachelab.metrics.minute import minute_table
from cachelab.metrics.observation import if_measured
from cachelab.metrics.requests import request_table
from cachelab.metrics.reuse import gaps_requests, gaps_s
from cachelab.metrics.sample import WeightedSample
from cachelab.pipeline import Result
from cachelab.report.capacity_figure import capacity_figure
from cachelab.report.losses_figure import losses_figure
from cachelab.report.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    RED,
    bar_ticks,
    blank_figure,
    few_ticks,
    legend_outside,
    log_ticks,
    plain_ticks,
    whole_ticks,
)
from cachelab.report.ttft_figure import ttft_by_cached_tokens

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Numbers = npt.NDArray[Any]
Table = Mapping[str, Sequence[Any]]

_BARS_UP_TO = 40  # hits per block; with more, the bars would be too thin to see
_LONG_TAIL = 10  # longest prompt / median; beyond it, bins of equal width would put nearly all prompts into one

FIGURES: Mapping[str, str] = {
    "hit_rate_by_turn": "Block hit rate by turn, measured and with an unlimited cache, and the number of requests",
    "hit_rate_by_minute": "Block hit rate by minute of the engine's clock, and the number of requests",
    "reuse_gaps": "Gaps between two hits of a block, in seconds and in requests",
    "hits_per_block": "Number of blocks by number of hits",
    "prompt_lengths": "Prompt lengths by outcome, and the cached share of their tokens",
    "ttft_by_cached_tokens": "Time to first token by cached prompt tokens: the seconds that hits save",
    "capacity": "Hit rate by cache size: LRU, Belady's optimum, an unlimited cache, the measured points",
    "losses": "Prompt tokens by reason: reused, never seen, lost; in total and by turn",
}
"""The name of each figure, and what it shows."""


def draw(result: Result) -> dict[str, "Figure | None"]:
    """Every figure of FIGURES, by its name; None if it has no data, or if the engine did not measure the hits."""
    observation, clock = result.observation, result.run.counters.clock
    table = request_table(observation)
    if not observation.hits_known:
        return dict.fromkeys(FIGURES)
    return {
        "hit_rate_by_turn": hit_rate_by_turn(table),
        "hit_rate_by_minute": hit_rate_by_minute(minute_table(observation), clock),
        "reuse_gaps": reuse_gaps(gaps_s(observation), gaps_requests(observation), clock),
        "hits_per_block": hits_per_block(observation.hits.per_block),
        "prompt_lengths": prompt_lengths(table),
        "ttft_by_cached_tokens": ttft_by_cached_tokens(table, clock),
        "capacity": if_measured(capacity_figure, result),
        "losses": if_measured(losses_figure, observation),
    }


def hit_rate_by_turn(table: Table) -> "Figure | None":
    """Block hit rate of each turn index, measured and ideal, and its number of completed requests."""
    done = _completed(table)
    turns = np.unique(done["turn_index"])
    if not done["full_blocks"].sum():
        return None
    sums = {name: np.asarray([done[name][done["turn_index"] == turn].sum() for turn in turns]) for name in done}
    requests = np.asarray([(done["turn_index"] == turn).sum() for turn in turns])
    known = sums["full_blocks"] > 0
    figure = blank_figure(4.4)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    rate, ideal = (100 * sums[name][known] / sums["full_blocks"][known] for name in ("hit_blocks", "ideal_hit_blocks"))
    upper.bar(turns[known], rate, color=BLUE, label="measured")
    upper.plot(turns[known], ideal, "_", color=ORANGE, markersize=14, markeredgewidth=3, label="unlimited cache")
    upper.set_ylim(0, 105)
    upper.set_ylabel("block hit rate (%)")
    upper.set_title(f"First-prefill hit rate by turn, {requests.sum():,} completed requests")
    legend_outside(upper)
    lower.bar(turns, requests, color=GREY)
    lower.set_ylabel("requests")
    lower.set_xlabel("turn index (0 = first)")
    whole_ticks(lower, "y")
    bar_ticks(lower, turns.tolist())
    if len(turns) <= 12:
        for turn, number in zip(turns, requests, strict=True):
            lower.annotate(f"{number:,}", (turn, number), ha="center", va="bottom", fontsize=8)
        lower.margins(y=0.25)
    return figure


def hit_rate_by_minute(table: Mapping[str, Numbers], clock: str) -> "Figure | None":
    """Block hit rate of each minute of the engine's clock, and its completed requests; None for a single minute."""
    minutes, total = table["minute"], table["prompt_blocks"]
    if len(minutes) < 2 or not total.sum():
        return None
    known = total > 0
    figure = blank_figure(4.4)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    upper.plot(minutes[known], 100 * table["hit_blocks"][known] / total[known], ".", color=BLUE, label="each minute")
    so_far = 100 * np.cumsum(table["hit_blocks"]) / np.maximum(np.cumsum(total), 1)
    upper.plot(minutes[known], so_far[known], color=ORANGE, label="from the start")
    upper.set_ylim(0, 105)
    upper.set_ylabel("block hit rate (%)")
    upper.set_title(f"First-prefill hit rate over time, {table['requests'].sum():,} completed requests")
    legend_outside(upper)
    lower.vlines(minutes, 0, table["requests"], color=GREY)
    lower.set_ylim(bottom=0)
    lower.set_ylabel("requests")
    lower.set_xlabel(f"minute{' of the simulated clock' if clock == 'simulated' else ''}")
    whole_ticks(lower, "both")
    return figure


def reuse_gaps(seconds: WeightedSample, requests: WeightedSample, clock: str) -> "Figure | None":
    """Two histograms of the gaps of all reuses: in seconds of the engine's clock, and in requests."""
    if not len(requests):
        return None
    figure = blank_figure(3.4)
    left, right = figure.subplots(1, 2)
    _histogram(left, seconds, f"gap ({'simulated seconds' if clock == 'simulated' else 'seconds'})", "s")
    _histogram(right, requests, "gap (requests)", "requests")
    left.set_ylabel("reuses (hits after a block's first hit)")
    figure.suptitle(f"Gap between two hits of a block, {len(requests):,} reuses", fontsize=11)
    return figure


def hits_per_block(hits: Numbers) -> "Figure | None":
    """The number of distinct blocks by their number of hits."""
    if not len(hits):
        return None
    number, blocks = np.unique(hits, return_counts=True)
    figure = blank_figure(3.4)
    axes = figure.subplots()
    if number.max() <= _BARS_UP_TO:
        axes.bar(number, blocks, color=BLUE)
        bar_ticks(axes, number.tolist())
    else:
        axes.plot(number, blocks, "o", color=BLUE, markersize=4)
        axes.set_xscale("log")
        log_ticks(axes, "x", *axes.get_xlim())
    axes.set_yscale("log")
    axes.set_ylim(0.7, 2 * int(blocks.max()))
    log_ticks(axes, "y", *axes.get_ylim())
    axes.set_xlabel("hits per block")
    axes.set_ylabel("blocks (log scale)")
    axes.set_title(f"Hits per block, {hits.sum():,} hits of {len(hits):,} distinct blocks")
    return figure


def prompt_lengths(table: Table) -> "Figure | None":
    """Prompt lengths by outcome and, in the same bins, the cached and computed tokens of completed requests."""
    lengths = np.asarray(table["prompt_tokens"], dtype=np.int64)
    if not len(lengths):
        return None
    completed = np.asarray([outcome == "completed" for outcome in table["outcome"]])
    cached = np.asarray(table["cached_tokens"], dtype=np.int64)[completed]
    done, rejected = lengths[completed], lengths[~completed]
    num_bins = min(40, max(8, int(np.sqrt(len(lengths)))))
    edges, scale = np.histogram_bin_edges(lengths, bins=num_bins), "linear"
    if lengths.min() == lengths.max():
        edges = np.asarray([lengths[0] - 0.5, lengths[0] + 0.5])
    if lengths.min() > 0 and lengths.max() > _LONG_TAIL * np.median(lengths):
        edges, scale = np.geomspace(lengths.min(), lengths.max(), num_bins + 1), "log"
    figure = blank_figure(4.4)
    upper, lower = figure.subplots(2, 1, sharex=True)
    upper.hist(
        [done, rejected],
        bins=edges,
        stacked=True,
        edgecolor="white",
        linewidth=0.4,
        color=[BLUE, RED],
        label=[f"completed ({len(done):,})", f"rejected ({len(rejected):,})"],
    )
    upper.set_ylabel("requests")
    upper.set_title(f"Prompt lengths, {len(lengths):,} requests")
    lower.hist(
        [done, done],
        bins=edges,
        stacked=True,
        edgecolor="white",
        linewidth=0.4,
        weights=[cached, done - cached],
        color=[GREEN, ORANGE],
        label=["cached", "computed"],
    )
    lower.set_ylabel("prompt tokens")
    lower.set_xscale(scale)
    if scale == "log":
        log_ticks(lower, "x", *lower.get_xlim())
    elif len(edges) == 2:
        bar_ticks(lower, [int(lengths[0])])
    else:
        whole_ticks(lower, "x")
    lower.set_xlabel("prompt length (tokens)" + (", log scale" if scale == "log" else ""))
    for axes in (upper, lower):
        legend_outside(axes)
    whole_ticks(upper, "y")
    plain_ticks(lower, "y")
    return figure


def _completed(table: Table) -> dict[str, Numbers]:
    rows = [index for index, outcome in enumerate(table["outcome"]) if outcome == "completed"]
    names = ("turn_index", "full_blocks", "hit_blocks", "ideal_hit_blocks")
    return {name: np.asarray([table[name][row] for row in rows], dtype=np.int64) for name in names}


def _histogram(axes: "Axes", gaps: WeightedSample, label: str, unit: str) -> None:
    """Draw a histogram, on a log axis if the largest gap is over 50 times the smallest; gaps of 0 are then counted."""
    values, counts = gaps.values, gaps.counts
    above = values > 0
    shown = values[above]
    if len(shown) and shown[-1] > 50 * shown[0]:
        axes.hist(
            shown,
            bins=np.geomspace(shown[0], shown[-1], 31).tolist(),
            weights=counts[above],
            color=BLUE,
            edgecolor="white",
            linewidth=0.4,
        )
        axes.set_xscale("log")
        label += ", log scale"
        zero = int(counts[~above].sum())
        if zero:
            axes.set_title(f"not shown: {zero:,} gaps of 0 {unit}", fontsize=8)
        log_ticks(axes, "x", *axes.get_xlim(), most=3)
    else:
        whole = values.dtype.kind == "i" and values[-1] <= _BARS_UP_TO
        bins = (np.arange(values[0], values[-1] + 2) - 0.5).tolist() if whole else 20
        axes.hist(values, bins=bins, weights=counts, color=BLUE, edgecolor="white", linewidth=0.4)
        if whole:
            bar_ticks(axes, values.tolist())
        else:
            few_ticks(axes)
    whole_ticks(axes, "y")
    axes.set_xlabel(label)
