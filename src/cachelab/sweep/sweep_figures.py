"""The figures of a sweep. A figure without data is None."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cachelab.report.style import (
    BLUE,
    COLOURS,
    GREY,
    bar_ticks,
    blank_figure,
    few_ticks,
    legend_outside,
    short,
    view_at_least,
    whole_ticks,
)
from cachelab.sweep.comparison import HEADLINE, Comparison
from cachelab.sweep.hit_rate_figure import hit_rate, meaning
from cachelab.sweep.sweep_job import SweepJob

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MAX_CURVES = 12
_MAX_BARS = 40

SWEEP_FIGURES: Mapping[str, str] = {
    "hit_rate": "The headline of every job, over the settings that differ",
    "hit_rate_by_turn": "Block hit rate per turn, one curve per job",
    "differences": "The difference of each job's hit rates from the baseline, with intervals",
}
"""Name of a figure -> its caption."""

Tables = Mapping[str, Mapping[str, Sequence[Any]]]


def draw_sweep(
    jobs: Sequence[SweepJob], tables: Tables, comparisons: Sequence[Comparison], headline: str = HEADLINE
) -> "dict[str, Figure | None]":
    """Every figure of SWEEP_FIGURES by name, the first one of the hit rate `headline`.

    `tables` maps the label of each compared job to its requests.
    """
    return {
        "hit_rate": hit_rate(jobs, headline),
        "hit_rate_by_turn": hit_rate_by_turn(tables),
        "differences": differences(comparisons),
    }


def hit_rate_by_turn(tables: Tables) -> "Figure | None":
    """First-prefill hit rate per turn, and the number of completed requests behind it."""
    if not 1 < len(tables) <= _MAX_CURVES:
        return None
    figure = blank_figure(4.6)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    width = 0.8 / len(tables)
    all_turns: set[int] = set()
    for index, (name, table) in enumerate(tables.items()):
        done = np.asarray([outcome == "completed" for outcome in table["outcome"]])
        turn, hit, full = (
            np.asarray([0 if value is None else value for value in table[key]], dtype=np.int64)[done]
            for key in ("turn_index", "hit_blocks", "full_blocks")
        )
        turns = np.unique(turn)
        all_turns |= set(turns.tolist())
        sums = [(hit[turn == k].sum(), full[turn == k].sum(), (turn == k).sum()) for k in turns]
        known = [(k, 100 * h / f) for k, (h, f, _) in zip(turns, sums, strict=True) if f]
        style = {"color": COLOURS[index % len(COLOURS)], "linestyle": "-" if index < len(COLOURS) else "--"}
        upper.plot(
            [k for k, _ in known], [rate for _, rate in known], marker="o", markersize=4, label=short(name), **style
        )
        lower.bar(turns + (index - (len(tables) - 1) / 2) * width, [n for _, _, n in sums], width, color=style["color"])
    upper.set_ylim(0, 105)
    upper.set_ylabel("block hit rate (%)")
    upper.set_title("First-prefill hit rate by turn")
    legend_outside(upper)
    lower.set_ylabel("requests")
    lower.set_xlabel("turn index (0 = first)")
    whole_ticks(lower, "y")
    if all_turns:
        bar_ticks(lower, sorted(all_turns))
    return figure


def differences(comparisons: Sequence[Comparison]) -> "Figure | None":
    """One row per rate and comparison: the difference in points, and its interval."""
    rows = [
        (comparison, difference)
        for comparison in comparisons
        for difference in comparison.differences.values()
        if difference.low is not None and (len(comparisons) == 1 or difference.metric == comparison.metric)
    ]
    if not rows or len(rows) > _MAX_BARS:
        return None
    figure = blank_figure(1.4 + 0.32 * len(rows))
    axes = figure.subplots()
    for place, (_, difference) in enumerate(rows):
        assert difference.low is not None
        assert difference.high is not None
        ends = 100 * difference.low, 100 * difference.high
        colour = GREY if difference.verdict == "no difference shown" else BLUE
        axes.plot(ends, [place, place], color=colour, linewidth=2, marker="|", markersize=9)
        axes.plot([100 * difference.difference], [place], "o", color=colour)
    axes.axvline(0, color="black", linewidth=0.8)
    one = len(comparisons) == 1
    names = [d.metric.removeprefix("hit_rate/") if one else comparison.arm for comparison, d in rows]
    axes.set_yticks(range(len(rows)), [short(name) for name in names], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("difference in points, 95 % interval (paired bootstrap)")
    view_at_least(axes, "x", 1.0)
    few_ticks(axes)
    first = comparisons[0]
    what = short(first.arm) if one else meaning(first.metric).removesuffix(" (%)").capitalize()
    figure.suptitle(f"{what}\nagainst {short(first.baseline)}", fontsize=11)
    return figure
