"""The figures of a search: Pareto front, history, importance of each setting. A figure without data is None.

They are not those of optuna.visualization.matplotlib: these need the live study, show one objective per figure, and
change pyplot's global state.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from cachelab.report.style import (
    BLUE,
    COLOURS,
    GREY,
    ORANGE,
    RED,
    blank_figure,
    few_ticks,
    legend_outside,
    many,
    plain_ticks,
    short,
    view_at_least,
    whole_ticks,
)
from cachelab.sweep.trial import Trial

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LABEL_WIDTH, _LABEL_HEIGHT = 0.09, 0.06
"""The room of a trial's number in the figure of the front, as shares of the front's extent."""


class Study(Protocol):
    """What the figures show of a StudyReport."""

    @property
    def objectives(self) -> Sequence[str]: ...

    @property
    def directions(self) -> Sequence[str]: ...

    @property
    def importances(self) -> Mapping[str, Mapping[str, float]]: ...

    @property
    def complete(self) -> Sequence[Trial]: ...

    @property
    def front(self) -> Sequence[Trial]: ...

    def sign(self, objective: int) -> int: ...


def is_share(name: str) -> bool:
    """Whether an objective is a share, shown in percent."""
    return name.startswith("hit_rate/") or name.endswith("_share")


def pareto_front(study: Study) -> "Figure | None":
    """Every trial by its two objectives."""
    if len(study.objectives) != 2 or not study.complete:
        return None
    figure = blank_figure(4.4)
    axes = figure.subplots()
    feasible = [trial for trial in study.complete if trial.feasible]
    factors = np.asarray([100.0 if is_share(name) else 1.0 for name in study.objectives])
    for trials, colour, marker, label in (
        (feasible, GREY, "o", "feasible"),
        ([trial for trial in study.complete if not trial.feasible], RED, "x", "infeasible"),
    ):
        if trials:
            points = factors * np.asarray([trial.values for trial in trials])
            axes.scatter(
                points[:, 0],
                points[:, 1],
                s=22,
                color=colour,
                marker=marker,
                label=f"{label} ({len(trials):,})",
                rasterized=many(len(trials)),
            )
    if front := study.front:
        points = factors * np.asarray([trial.values for trial in front])
        axes.plot(points[:, 0], points[:, 1], "o-", color=BLUE, label=f"Pareto front ({len(front):,})")
        _number_points(axes, front, points)
    units = [" (%)" if is_share(name) else "" for name in study.objectives]
    axes.set_xlabel(f"{short(study.objectives[0])}{units[0]}, {study.directions[0]}")
    axes.set_ylabel(f"{short(study.objectives[1])}{units[1]},\n{study.directions[1]}")
    axes.margins(0.09)
    for axis, name in zip("xy", study.objectives, strict=True):
        view_at_least(axes, axis, 1.0 if is_share(name) else 0.0)
    few_ticks(axes, 5)
    axes.set_title(f"{len(study.complete):,} trials")
    legend_outside(axes)
    return figure


def optimization_history(study: Study) -> "Figure | None":
    """Each objective per trial, and the best so far."""
    if not study.complete:
        return None
    figure = blank_figure(1.2 + 2.2 * len(study.objectives))
    rows = figure.subplots(len(study.objectives), 1, sharex=True, squeeze=False)[:, 0]
    for index, (axes, name) in enumerate(zip(rows, study.objectives, strict=True)):
        factor = 100.0 if is_share(name) else 1.0
        for feasible, colour, label in ((True, BLUE, "trial"), (False, RED, "infeasible")):
            found = [(t.number, t.values[index]) for t in study.complete if t.feasible is feasible and t.values]
            if found:
                axes.scatter(
                    [n for n, _ in found],
                    [factor * v for _, v in found],
                    s=16,
                    color=colour,
                    label=label,
                    rasterized=many(len(found)),
                )
        good = [(t.number, t.values[index]) for t in study.complete if t.feasible and t.values]
        if good:
            best = (np.maximum if study.sign(index) < 0 else np.minimum).accumulate(
                [factor * value for _, value in good]
            )
            axes.step([number for number, _ in good], best, where="post", color=ORANGE, label="best so far")
        view_at_least(axes, "y", 1.0 if is_share(name) else 0.0)
        plain_ticks(axes, "y")
        axes.set_ylabel(short(name, 26) + ("\n(%)" if is_share(name) else ""), fontsize=8)
        legend_outside(axes)
    rows[-1].set_xlabel("trial")
    whole_ticks(rows[-1], "x")
    return figure


def parameter_importances(study: Study) -> "Figure | None":
    """A bar per setting and objective."""
    keys = list(dict.fromkeys(key for shares in study.importances.values() for key in shares))
    if not keys:
        return None
    figure = blank_figure(1.4 + 0.5 * len(keys))
    axes = figure.subplots()
    height = 0.8 / len(study.importances)
    for index, (name, shares) in enumerate(study.importances.items()):
        places = np.arange(len(keys)) + (index - (len(study.importances) - 1) / 2) * height
        axes.barh(
            places,
            [100 * shares.get(key, 0.0) for key in keys],
            height,
            color=COLOURS[index % len(COLOURS)],
            label=short(name),
        )
    axes.set_yticks(range(len(keys)), [short(key) for key in keys], fontsize=8)
    axes.set_xlim(0, 100)
    axes.invert_yaxis()
    axes.set_xlabel("share of the objective's variance (%)")
    legend_outside(axes)
    return figure


def _number_points(axes: "Axes", trials: Sequence[Trial], points: "npt.NDArray[np.float64]") -> None:
    """Write each trial's number next to its point, where no other number is written."""
    span = np.ptp(points, axis=0)
    span = np.where(span == 0, 1.0, span)
    written: list[npt.NDArray[np.float64]] = []
    for trial, point in zip(trials, points, strict=True):
        if all((np.abs(point - other) / span > (_LABEL_WIDTH, _LABEL_HEIGHT)).any() for other in written):
            axes.annotate(f"#{trial.number}", tuple(point), textcoords="offset points", xytext=(4, 4), fontsize=7)
            written.append(point)
