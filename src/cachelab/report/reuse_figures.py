"""The reuse of blocks: gaps between two hits, and hits per block."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cachelab.metrics.sample import WeightedSample
from cachelab.report.style import BLUE, bar_ticks, blank_figure, few_ticks, log_ticks, whole_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BARS_UP_TO = 40  # hits per block; with more, the bars would be too thin to see


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


def hits_per_block(hits: npt.NDArray[Any]) -> "Figure | None":
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
