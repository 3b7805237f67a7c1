"""The hit rate of a sweep's jobs over the settings that differ. A figure without data is None."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from cachelab.override import readable, setting_label
from cachelab.report.style import (
    BLUE,
    COLOURS,
    ORANGE,
    blank_figure,
    few_ticks,
    legend_outside,
    log_ticks,
    many,
    short,
    whole_ticks,
)
from cachelab.sweep.comparison import HEADLINE
from cachelab.sweep.sweep_job import SweepJob, labels, swept

if TYPE_CHECKING:
    from matplotlib.figure import Figure

IDEAL = "hit_rate/ideal"
_MAX_CURVES = 12
_MAX_BARS = 40
_MAX_PANELS = 4
_MAX_CELL_WORDS = 44  # letters of all names below a heat map

_MEANINGS: Mapping[str, str] = {
    HEADLINE: "first-prefill block hit rate (%)",
    "hit_rate/first_prefill_tokens": "cached prompt tokens (%)",
    "hit_rate/later_turns": "cached prompt tokens after the first turn (%)",
    "hit_rate/steady": "cached prompt tokens of the last 50 % of the requests (%)",
}
"""The label of an axis for a hit rate; other rates have their own name there."""


def hit_rate(jobs: Sequence[SweepJob], metric: str = HEADLINE) -> "Figure | None":
    """A hit rate: curves over a numeric setting, a heat map over two others, points over several settings, or bars.

    Curves need at least two jobs each on average. A search has hardly any jobs that differ in one setting only: its
    jobs are points over each numeric setting.
    """
    jobs = [job for job in jobs if job.finished and metric in job.values]
    settings = swept(jobs)
    if len(jobs) < 2:
        return None
    numeric = [key for key, values in settings.items() if all(map(_is_number, values)) and len(values) > 2]
    if numeric and (key := max(numeric, key=lambda key: len(settings[key]))):
        others = [other for other in settings if other != key]
        curves = len({_name(job, others) for job in jobs})
        if curves <= _MAX_CURVES and 2 * curves <= len(jobs):
            return _curves(jobs, key, others, metric)
        if len(numeric) > 1:
            return _points(jobs, numeric[:_MAX_PANELS], metric)
    if len(settings) == 2 and all(1 < len(values) <= 20 for values in settings.values()):
        down, across = sorted(settings, key=lambda key: len("".join(settings[key])), reverse=True)
        return _heat_map(jobs, down, across, metric)
    return _bars(jobs, metric) if len(jobs) <= _MAX_BARS else None


def _curves(jobs: Sequence[SweepJob], key: str, others: Sequence[str], metric: str) -> "Figure":
    figure = blank_figure(3.8)
    axes = figure.subplots()
    groups: dict[str, list[SweepJob]] = {}
    for job in jobs:
        groups.setdefault(_name(job, others), []).append(job)
    for index, (name, group) in enumerate(groups.items()):
        group = sorted(group, key=lambda job: float(job.settings[key]))
        x = [float(job.settings[key]) for job in group]
        colour = COLOURS[index % len(COLOURS)]
        axes.plot(
            x,
            [100 * job.values[metric] for job in group],
            "o-",
            markersize=4,
            color=colour,
            label=short(name) or "measured",
        )
        if len(groups) == 1 and metric == HEADLINE and all(IDEAL in job.values for job in group):
            axes.plot(x, [100 * job.values[IDEAL] for job in group], "--", color=ORANGE, label="unlimited cache")
    values = [float(job.settings[key]) for job in jobs]
    if min(values) > 0 and max(values) >= 16 * min(values):
        axes.set_xscale("log")
        log_ticks(axes, "x", *axes.get_xlim())
    elif all(value.is_integer() for value in values):
        whole_ticks(axes, "x")
    axes.set_ylim(-2 if min(job.values[metric] for job in jobs) == 0 else 0, 105)  # a line at 0 is seen
    axes.set_xlabel(key)
    axes.set_ylabel(meaning(metric))
    legend_outside(axes)
    return figure


def _points(jobs: Sequence[SweepJob], keys: Sequence[str], metric: str) -> "Figure":
    """One panel per setting: a point per job, the best one marked."""
    figure = blank_figure(3.4, max(7.2, 2.6 * len(keys)))
    panels = figure.subplots(1, len(keys), sharey=True, squeeze=False)[0]
    best = max(jobs, key=lambda job: job.values[metric])
    for axes, key in zip(panels, keys, strict=True):
        shown = [job for job in jobs if _is_number(job.settings.get(key, ""))]
        x = [float(job.settings[key]) for job in shown]
        rates = [100 * job.values[metric] for job in shown]
        axes.scatter(x, rates, s=16, color=BLUE, alpha=0.6, rasterized=many(len(x)))
        if best in shown:
            axes.plot([float(best.settings[key])], [100 * best.values[metric]], "*", color=ORANGE, markersize=11)
        axes.set_xlabel(key.rpartition(".")[2], fontsize=9)
        few_ticks(axes, 3)
    panels[0].set_ylim(0, 105)
    panels[0].set_ylabel(meaning(metric))
    figure.suptitle(f"{len(jobs):,} jobs, star: {100 * best.values[metric]:.2f} %", fontsize=11)
    return figure


def _heat_map(jobs: Sequence[SweepJob], down: str, across: str, metric: str) -> "Figure":
    settings = swept(jobs)
    grid = np.full((len(settings[down]), len(settings[across])), np.nan)
    for job in jobs:
        place = settings[down].index(job.settings.get(down, "")), settings[across].index(job.settings.get(across, ""))
        grid[place] = 100 * job.values[metric]
    figure = blank_figure(2.4 + 0.4 * len(settings[down]))
    axes = figure.subplots()
    image = axes.imshow(grid, cmap="viridis", vmin=0, vmax=100, aspect="auto")
    for (row, column), value in np.ndenumerate(grid):
        if np.isfinite(value):
            colour = "white" if value < 60 else "black"
            text = f"{value:.1f} %" if len(settings[across]) <= 6 else f"{value:.0f}"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
    below = [short(readable(across, value or "default"), 16) for value in settings[across]]
    turned = len("".join(below)) > _MAX_CELL_WORDS
    axes.set_xticks(range(len(below)), below, rotation=90 if turned else 0, fontsize=8)
    axes.set_yticks(
        range(len(settings[down])), [short(readable(down, value or "default")) for value in settings[down]], fontsize=8
    )
    axes.set_xlabel(across)
    axes.set_ylabel(down)
    axes.set_title(meaning(metric).removesuffix(" (%)").capitalize())
    figure.colorbar(image, ax=axes, label="%")
    return figure


def _bars(jobs: Sequence[SweepJob], metric: str) -> "Figure":
    figure = blank_figure(1.4 + 0.34 * len(jobs))
    axes = figure.subplots()
    names = [short(label) for label in labels(jobs)]
    rates = [100 * job.values[metric] for job in jobs]
    bars = axes.barh(range(len(jobs)), rates, color=BLUE)
    axes.bar_label(bars, fmt="%.1f %%", padding=3, fontsize=8)
    ideal = [(100 * job.values[IDEAL], place) for place, job in enumerate(jobs) if IDEAL in job.values]
    if ideal and metric == HEADLINE:
        axes.plot(
            [x for x, _ in ideal],
            [y for _, y in ideal],
            "|",
            color=ORANGE,
            markersize=16,
            markeredgewidth=3,
            label="unlimited cache",
        )
        legend_outside(axes)
    axes.set_yticks(range(len(jobs)), names, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, 118)
    axes.set_xticks(range(0, 101, 25))
    axes.set_xlabel(meaning(metric))
    return figure


def meaning(metric: str) -> str:
    """The label of an axis that shows the hit rate."""
    return _MEANINGS.get(metric, f"{metric} (%)")


def _name(job: SweepJob, keys: Sequence[str]) -> str:
    return ", ".join(setting_label(key, job.settings.get(key, "default")) for key in keys)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
