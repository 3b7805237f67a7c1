"""Opens, resumes and reads a persistent Optuna study; imports Optuna only when a study is used."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from cachelab.error_format import reason
from cachelab.errors import ConfigError
from cachelab.secret import revealed
from cachelab.sqlite_address import database_file, in_memory, is_sqlite
from cachelab.sweep.study_report import StudyReport
from cachelab.sweep.trial import Trial

if TYPE_CHECKING:
    import optuna

SWEEP_DIGEST = "cachelab.sweep_digest"
OBJECTIVES = "cachelab.objectives"
RUN_ID, ERROR = "cachelab.run_id", "cachelab.error"
NOTHING_KEPT = "cachelab.nothing_kept"
"""User attribute of a trial whose filter kept nothing: the reason. Also a constraint: 1 for such a trial, else 0."""
DATA = "cachelab.data_digest"
"""User attribute of a trial: the digest of the data and files that it read."""
_READS = ("dataset", "tokenizer", "engine")
"""Groups of settings that decide which files a trial reads."""
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
    if storage is not None and is_sqlite(storage) and in_memory(storage):
        raise ConfigError(
            f"hydra.sweeper.storage={storage}: this database is in memory and is lost with the process: write "
            "sqlite:///FILE, or null for a search that cannot be resumed"
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


def trial_of_other_data(study: "optuna.Study", params: Mapping[str, Any], data: str | None) -> int | None:
    """The number of a complete trial that read other data, though its settings name the same; None if there is none.

    `params` are the settings of the trial that read `data` (None: unknown).
    """

    def named(given: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in given.items() if key.partition(".")[0] in _READS}

    for trial in study.trials:
        known = trial.user_attrs.get(DATA)
        if trial.state.name == "COMPLETE" and known and data and known != data and named(trial.params) == named(params):
            return int(trial.number)
    return None


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
    file = database_file(storage)
    if is_sqlite(storage) and (file is None or not file.is_file()):
        return None
    try:
        return optuna.load_study(study_name=name, storage=revealed(storage))
    except KeyError:
        return None


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
