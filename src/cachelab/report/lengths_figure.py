"""The lengths of prompts, and the cached share of their tokens."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cachelab.report.style import (
    BLUE,
    GREEN,
    ORANGE,
    RED,
    bar_ticks,
    blank_figure,
    legend_outside,
    log_ticks,
    plain_ticks,
    whole_ticks,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LONG_TAIL = 10  # longest prompt / median; beyond it, bins of equal width would put nearly all prompts into one


def prompt_lengths(table: Mapping[str, Sequence[Any]]) -> "Figure | None":
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
