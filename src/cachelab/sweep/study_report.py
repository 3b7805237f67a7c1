"""The result of a search: the best trials or the Pareto front, the history, the importance of each setting. Pure.

The figures are not those of optuna.visualization.matplotlib: these need the live study, show one objective per figure,
and change pyplot's global state.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from cachelab.report.section import ABSENT, Section, percent, plain
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

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MAX_BEST = 20  # rows of the table of the best trials
_LABEL_WIDTH, _LABEL_HEIGHT = 0.09, 0.06
"""The room of a trial's number in the figure of the front, as shares of the front's extent."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One trial of a study. `values` are its objectives (None: it failed, or its filter kept nothing).

    `run_id` is the id of its run in the store, `reason` the reason why it has no objectives.
    """

    number: int
    state: str
    params: Mapping[str, Any]
    values: Sequence[float] | None
    feasible: bool
    run_id: str | None
    reason: str | None = None


@dataclass(frozen=True)
class StudyReport:
    """The state of a study. `best` are trial numbers: the best trials, or the Pareto front of several objectives.

    Trials with equal objectives are one point: tables and figures show its first trial, and how many share it.

    `importances`: objective -> setting -> share of the objective's variance that the setting explains.
    """

    FIGURES: ClassVar[Mapping[str, str]] = {
        "pareto_front": "Every trial by its two objectives; the Pareto front is marked, equal trials are one point",
        "optimization_history": "Each objective per trial, and the best so far",
        "parameter_importances": "The share of each objective's variance that each setting explains",
    }

    name: str
    objectives: Sequence[str]
    directions: Sequence[str]
    trials: Sequence[Trial]
    best: Sequence[int]
    importances: Mapping[str, Mapping[str, float]]

    @property
    def complete(self) -> list[Trial]:
        return [trial for trial in self.trials if trial.values is not None]

    @property
    def headlines(self) -> list[str]:
        infeasible = sum(trial.state == "COMPLETE" and not trial.feasible for trial in self.trials)
        failed = sum(trial.state == "FAIL" for trial in self.trials)
        also = [f"{infeasible:,} infeasible"] * bool(infeasible) + [f"{failed:,} failed"] * bool(failed)
        of = f"{len(self.trials):,} trials of study {self.name}" + (f" ({', '.join(also)})" if also else "")
        chosen = self._best()
        if not chosen:
            return [f"no best trial: no feasible one among {of}"]
        if len(self.objectives) > 1:
            trials = sum(map(self._sharing, chosen))
            shared = f" ({trials:,} trials)" if trials > len(chosen) else ""
            return [f"Pareto front: {len(chosen):,} {'points' if len(chosen) > 1 else 'point'}{shared} of {of}"]
        value = (chosen[0].values or [0.0])[0]
        same = self._sharing(chosen[0]) - 1
        equal = f" (and {same:,} with the same value)" if same else ""
        settings = " ".join(f"{key}={setting}" for key, setting in chosen[0].params.items())
        return [
            f"best of {of}: #{chosen[0].number} {settings}, "
            f"{self.objectives[0]} {_shown(self.objectives[0], value)}{equal}"
        ]

    @property
    def best_values(self) -> dict[str, float]:
        """`best/<objective>` -> its best value among the best trials; of several objectives, not of one trial."""
        found = [trial.values for trial in self._best() if trial.values is not None]
        if not found:
            return {}
        choose = [max if self._sign(index) < 0 else min for index in range(len(self.objectives))]
        return {
            f"best/{name}": choose[index](values[index] for values in found)
            for index, name in enumerate(self.objectives)
        }

    @property
    def sections(self) -> list[Section]:
        return [section for section in (self._best_section(), self._importance_section()) if section.rows]

    def write(self, folder: Path) -> None:
        """Write trials.csv (every trial) and pareto_front.csv (the first of the best trials at each point)."""
        from cachelab.report.tables import write_csv

        reasons = {"reason": [trial.reason for trial in self.trials]}
        write_csv(folder / "trials.csv", self._columns(self.trials) | reasons)
        shared = {"trials_at_point": [self._sharing(trial) for trial in self._best()]}
        write_csv(folder / "pareto_front.csv", self._columns(self._best()) | shared)

    def draw(self) -> "dict[str, Figure | None]":
        return {
            "pareto_front": self._draw_front(),
            "optimization_history": self._draw_history(),
            "parameter_importances": self._draw_importances(),
        }

    def _best(self) -> list[Trial]:
        """The first of the best trials at each point, sorted by the first objective."""
        points: dict[tuple[float, ...], Trial] = {}
        for trial in self.trials:
            if trial.number in self.best and trial.values is not None:
                points.setdefault(tuple(trial.values), trial)
        found = points.values()
        return sorted(found, key=lambda trial: self._sign(0) * (trial.values or [0.0])[0])

    def _sharing(self, trial: Trial) -> int:
        """The number of best trials with these objectives."""
        same = [one for one in self.trials if one.number in self.best and one.values is not None]
        return sum(tuple(one.values or ()) == tuple(trial.values or ()) for one in same)

    def _sign(self, objective: int) -> int:
        return -1 if self.directions[objective] == "maximize" else 1

    def _columns(self, trials: Sequence[Trial]) -> dict[str, list[Any]]:
        keys = list(dict.fromkeys(key for trial in self.trials for key in trial.params))
        columns: dict[str, list[Any]] = {
            "trial": [trial.number for trial in trials],
            "state": [trial.state for trial in trials],
            "feasible": [int(trial.feasible) for trial in trials],
            "run_id": [trial.run_id for trial in trials],
        }
        columns |= {key: [trial.params.get(key) for trial in trials] for key in keys}
        for index, name in enumerate(self.objectives):
            columns[name] = [None if trial.values is None else trial.values[index] for trial in trials]
        return columns

    def _best_section(self) -> Section:
        keys = list(dict.fromkeys(key for trial in self.trials for key in trial.params))
        chosen = self._best()[:_MAX_BEST]
        equal = [self._sharing(trial) - 1 for trial in chosen]
        rows = [
            (
                f"{trial.number} +{more}" if more else str(trial.number),
                *(str(trial.params.get(key, ABSENT)) for key in keys),
                *(_shown(name, value) for name, value in zip(self.objectives, trial.values or (), strict=True)),
                trial.run_id or ABSENT,
            )
            for trial, more in zip(chosen, equal, strict=True)
        ]
        heads = [name.split(".")[-1] for name in keys] + [name.split("/")[-1] for name in self.objectives]
        columns = ("trial", *heads, "run id")
        note = "+N: N further trials have the same objectives (trials.csv)." if any(equal) else ""
        return Section("Best trials", columns, rows, note, left=frozenset({0, len(columns) - 1}))

    def _importance_section(self) -> Section:
        keys = list(dict.fromkeys(key for shares in self.importances.values() for key in shares))
        rows = [(key, *(percent(shares.get(key)) for shares in self.importances.values())) for key in keys]
        return Section("Importance of the settings (share of the variance)", ("setting", *self.importances), rows)

    def _draw_front(self) -> "Figure | None":
        if len(self.objectives) != 2 or not self.complete:
            return None
        figure = blank_figure(4.4)
        axes = figure.subplots()
        feasible = [trial for trial in self.complete if trial.feasible]
        factors = np.asarray([100.0 if _is_share(name) else 1.0 for name in self.objectives])
        for trials, colour, marker, label in (
            (feasible, GREY, "o", "feasible"),
            ([trial for trial in self.complete if not trial.feasible], RED, "x", "infeasible"),
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
        if front := self._best():
            points = factors * np.asarray([trial.values for trial in front])
            axes.plot(points[:, 0], points[:, 1], "o-", color=BLUE, label=f"Pareto front ({len(front):,})")
            _number_points(axes, front, points)
        units = [" (%)" if _is_share(name) else "" for name in self.objectives]
        axes.set_xlabel(f"{short(self.objectives[0])}{units[0]}, {self.directions[0]}")
        axes.set_ylabel(f"{short(self.objectives[1])}{units[1]},\n{self.directions[1]}")
        axes.margins(0.09)
        for axis, name in zip("xy", self.objectives, strict=True):
            view_at_least(axes, axis, 1.0 if _is_share(name) else 0.0)
        few_ticks(axes, 5)
        axes.set_title(f"{len(self.complete):,} trials")
        legend_outside(axes)
        return figure

    def _draw_history(self) -> "Figure | None":
        if not self.complete:
            return None
        figure = blank_figure(1.2 + 2.2 * len(self.objectives))
        rows = figure.subplots(len(self.objectives), 1, sharex=True, squeeze=False)[:, 0]
        for index, (axes, name) in enumerate(zip(rows, self.objectives, strict=True)):
            factor = 100.0 if _is_share(name) else 1.0
            for feasible, colour, label in ((True, BLUE, "trial"), (False, RED, "infeasible")):
                found = [(t.number, t.values[index]) for t in self.complete if t.feasible is feasible and t.values]
                if found:
                    axes.scatter(
                        [n for n, _ in found],
                        [factor * v for _, v in found],
                        s=16,
                        color=colour,
                        label=label,
                        rasterized=many(len(found)),
                    )
            good = [(t.number, t.values[index]) for t in self.complete if t.feasible and t.values]
            if good:
                best = (np.maximum if self._sign(index) < 0 else np.minimum).accumulate(
                    [factor * value for _, value in good]
                )
                axes.step([number for number, _ in good], best, where="post", color=ORANGE, label="best so far")
            view_at_least(axes, "y", 1.0 if _is_share(name) else 0.0)
            plain_ticks(axes, "y")
            axes.set_ylabel(short(name, 26) + ("\n(%)" if _is_share(name) else ""), fontsize=8)
            legend_outside(axes)
        rows[-1].set_xlabel("trial")
        whole_ticks(rows[-1], "x")
        return figure

    def _draw_importances(self) -> "Figure | None":
        keys = list(dict.fromkeys(key for shares in self.importances.values() for key in shares))
        if not keys:
            return None
        figure = blank_figure(1.4 + 0.5 * len(keys))
        axes = figure.subplots()
        height = 0.8 / len(self.importances)
        for index, (name, shares) in enumerate(self.importances.items()):
            places = np.arange(len(keys)) + (index - (len(self.importances) - 1) / 2) * height
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


def _is_share(name: str) -> bool:
    return name.startswith("hit_rate/") or name.endswith("_share")


def _shown(name: str, value: float) -> str:
    return percent(value) if _is_share(name) else plain(value)
