"""The result of a search: the best trials or the Pareto front, the history, the importance of each setting. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from cachelab.report.section import ABSENT, Section, percent, plain
from cachelab.sweep.study_figures import is_share, optimization_history, parameter_importances, pareto_front
from cachelab.sweep.trial import Trial

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MAX_BEST = 20  # rows of the table of the best trials


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
        chosen = self.front
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
        found = [trial.values for trial in self.front if trial.values is not None]
        if not found:
            return {}
        choose = [max if self.sign(index) < 0 else min for index in range(len(self.objectives))]
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
        shared = {"trials_at_point": [self._sharing(trial) for trial in self.front]}
        write_csv(folder / "pareto_front.csv", self._columns(self.front) | shared)

    def draw(self) -> "dict[str, Figure | None]":
        return {
            "pareto_front": pareto_front(self),
            "optimization_history": optimization_history(self),
            "parameter_importances": parameter_importances(self),
        }

    @property
    def front(self) -> list[Trial]:
        """The first of the best trials at each point, sorted by the first objective."""
        points: dict[tuple[float, ...], Trial] = {}
        for trial in self.trials:
            if trial.number in self.best and trial.values is not None:
                points.setdefault(tuple(trial.values), trial)
        found = points.values()
        return sorted(found, key=lambda trial: self.sign(0) * (trial.values or [0.0])[0])

    def _sharing(self, trial: Trial) -> int:
        """The number of best trials with these objectives."""
        same = [one for one in self.trials if one.number in self.best and one.values is not None]
        return sum(tuple(one.values or ()) == tuple(trial.values or ()) for one in same)

    def sign(self, objective: int) -> int:
        """-1 if the objective is maximised, else 1: what sorts the best value first."""
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
        chosen = self.front[:_MAX_BEST]
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


def _shown(name: str, value: float) -> str:
    return percent(value) if is_share(name) else plain(value)
