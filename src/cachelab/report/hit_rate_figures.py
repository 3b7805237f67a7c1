"""The hit rate by turn and over time."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cachelab.report.style import BLUE, GREY, ORANGE, bar_ticks, blank_figure, legend_outside, whole_ticks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Numbers = npt.NDArray[Any]

Table = Mapping[str, Sequence[Any]]


def hit_rate_by_turn(table: Table) -> "Figure | None":
    """Block hit rate of each turn index, measured and ideal, and its number of completed requests."""
    done = _completed(table)
    turns, place = np.unique(done["turn_index"], return_inverse=True)
    if not done["full_blocks"].sum():
        return None
    sums = {name: np.zeros(len(turns), np.int64) for name in done}
    for name, values in done.items():
        np.add.at(sums[name], place, values)
    requests = np.bincount(place)
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


def _completed(table: Table) -> dict[str, Numbers]:
    rows = [index for index, outcome in enumerate(table["outcome"]) if outcome == "completed"]
    names = ("turn_index", "full_blocks", "hit_blocks", "ideal_hit_blocks")
    return {name: np.asarray([table[name][row] for row in rows], dtype=np.int64) for name in names}
