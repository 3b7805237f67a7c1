"""Opens, resumes and reads a persistent Optuna study; imports Optuna only when a study is used."""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from cachelab.error_format import reason
from cachelab.errors import ConfigError
from cachelab.secret import revealed
from cachelab.sweep.study_report import StudyReport, Trial

if TYPE_CHECKING:
    import optuna

SWEEP_DIGEST = "cachelab.sweep_digest"
OBJECTIVES = "cachelab.objectives"
RUN_ID, ERROR = "cachelab.run_id", "cachelab.error"
NOTHING_KEPT = "cachelab.nothing_kept"
"""User attribute of a trial whose filter kept nothing: the reason. Also a constraint: 1 for such a trial, else 0."""
_MIN_TRIALS_TO_RANK = 4  # with fewer, importances have no meaning


def open_study(
    storage: str | None, name: str | None, directions: Sequence[str], objectives: Sequence[str], sweep_digest: str
) -> "optuna.Study":
    """The study of this search, created if it is new. Raises ConfigError if another search owns it, or on failure."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if len(directions) != len(objectives):
        raise ConfigError(
            f"objective: {len(objectives)} named, hydra.sweeper.direction has {len(directions)}: give one each"
        )
    where = f"study {name} in {storage}"
    try:
        study = optuna.create_study(
            storage=storage and revealed(storage),
            study_name=name,
            directions=cast(Any, list(directions)),
            load_if_exists=True,
        )
    except Exception as error:  # each database raises the errors of its own client library
        raise ConfigError(f"hydra.sweeper.storage={storage}: {reason(error)}") from error
    if [direction.name.lower() for direction in study.directions] != list(directions):
        raise ConfigError(f"hydra.sweeper.study_name: {where} has other directions: choose another study_name")
    known = study.user_attrs.get(SWEEP_DIGEST)
    if study.trials and known != sweep_digest:
        raise ConfigError(
            f"hydra.sweeper.study_name: {where} holds {len(study.trials)} trials of another sweep (other settings "
            "or versions): choose another study_name, or remove it"
        )
    study.set_user_attr(SWEEP_DIGEST, sweep_digest)
    study.set_user_attr(OBJECTIVES, list(objectives))
    return study


def holds_trials(storage: str | None, name: str | None, sweep_digest: str) -> bool:
    """Whether the study of this search already has trials."""
    study = _load(storage, name)
    return study is not None and bool(study.trials) and study.user_attrs.get(SWEEP_DIGEST) == sweep_digest


def read_study(storage: str | None, name: str | None) -> StudyReport | None:
    """The current state of the study; None if there is no study, or only one in memory."""
    study = _load(storage, name)
    if study is None or not study.trials or OBJECTIVES not in study.user_attrs:
        return None
    objectives = study.user_attrs[OBJECTIVES]
    complete = [trial for trial in study.trials if trial.state.name == "COMPLETE"]
    best = [trial.number for trial in study.best_trials] if complete else []
    trials = [
        Trial(
            trial.number,
            trial.state.name,
            dict(trial.params),
            trial.values if _measured(trial) else None,
            all(value <= 0 for value in trial.constraints.values()),
            trial.user_attrs.get(RUN_ID),
            trial.user_attrs.get(NOTHING_KEPT) or trial.user_attrs.get(ERROR),
        )
        for trial in study.trials
    ]
    directions = [direction.name.lower() for direction in study.directions]
    return StudyReport(study.study_name, objectives, directions, trials, best, _importances(study, objectives))


def worst(direction: str) -> float:
    """The value of an objective that a trial could not measure: worse than every measured value."""
    return -math.inf if direction == "maximize" else math.inf


def _measured(trial: "optuna.trial.FrozenTrial") -> bool:
    return trial.state.name == "COMPLETE" and all(map(math.isfinite, trial.values))


def _load(storage: str | None, name: str | None) -> "optuna.Study | None":
    if storage is None or name is None:
        return None
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if storage.startswith("sqlite:///") and not _exists(storage):
        return None
    try:
        return optuna.load_study(study_name=name, storage=revealed(storage))
    except KeyError:
        return None


def _exists(storage: str) -> bool:
    from pathlib import Path

    return Path(storage.removeprefix("sqlite:///").partition("?")[0]).is_file()


def _importances(study: "optuna.Study", objectives: Sequence[str]) -> dict[str, dict[str, float]]:
    import optuna

    complete = [trial for trial in study.trials if _measured(trial)]
    if len(complete) < _MIN_TRIALS_TO_RANK or not complete[0].params:
        return {}
    found: dict[str, dict[str, float]] = {}
    for index, name in enumerate(objectives):
        values = [(trial.values or [])[index] for trial in complete]
        if len(set(values)) > 1:  # a constant has no variance to explain
            found[name] = dict(
                optuna.importance.get_param_importances(
                    study,
                    evaluator=optuna.importance.FanovaImportanceEvaluator(seed=0),
                    target=_objective(index),
                )
            )
    return found


def _objective(index: int) -> "Callable[[optuna.trial.FrozenTrial], float]":
    return lambda trial: float(trial.values[index])
