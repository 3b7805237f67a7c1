"""`hydra/sweeper=optuna`: an Optuna sweeper that resumes a search, knows constraints and fills the launcher."""

import hashlib
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.plugins.sweeper import Sweeper
from omegaconf import DictConfig, OmegaConf

from cachelab.error_format import format_error
from cachelab.errors import CachelabError, ConfigError
from cachelab.interrupt import transaction

if TYPE_CHECKING:
    import optuna
    from hydra.core.utils import JobReturn
    from hydra.types import HydraContext, TaskFunction

log = logging.getLogger(__name__)


class OptunaSweeper(Sweeper):
    """A search that keeps its state in the study.

    `n_trials` counts all trials of the study. A command that was killed and is started again runs the rest, starting
    with the unfinished trials. With a seed, the draws of a trial depend on the seed, the trial's number and the study's
    earlier trials, so a resumed search suggests the same trials. A trial and its job have the same number. The search
    space and the samplers are those of hydra-optuna-sweeper.
    """

    def __init__(
        self,
        sampler: DictConfig,
        direction: Any,
        storage: str | None,
        study_name: str | None,
        n_trials: int,
        n_jobs: int | None,
        max_failure_rate: float,
        params: DictConfig | None,
    ) -> None:
        from cachelab.sweep.search_settings import check_search

        settings = check_search(
            {
                "direction": OmegaConf.to_container(direction) if OmegaConf.is_list(direction) else direction,
                "storage": storage,
                "study_name": study_name,
                "n_trials": n_trials,
                "n_jobs": n_jobs,
                "max_failure_rate": max_failure_rate,
                "seed": sampler.get("seed"),
            }
        )
        # Plain, because Hydra copies the whole config around a node when it makes the node's object: one per setting.
        self.sampler: Any = OmegaConf.to_container(sampler, resolve=True)
        self.directions = [str(one) for one in settings.direction]
        self.storage = settings.storage
        self.study_name = settings.study_name
        self.n_trials = settings.n_trials
        self.n_jobs = settings.n_jobs
        self.max_failure_rate = settings.max_failure_rate
        self.params: Mapping[Any, Any] = params or {}

    def setup(self, *, hydra_context: "HydraContext", task_function: "TaskFunction", config: DictConfig) -> None:
        from hydra.core.plugins import Plugins

        self._master = config
        self._launcher = Plugins.instance().instantiate_launcher(
            config=config, hydra_context=hydra_context, task_function=task_function
        )

    def sweep(self, arguments: list[str]) -> None:
        """Run the missing trials. Raises ConfigError, or the error of the first failed job if too many fail."""
        from hydra_plugins.hydra_optuna_sweeper._impl import create_params_from_overrides

        from cachelab.sweep.digest import digest_of_search
        from cachelab.sweep.study import open_study

        folder = Path(str(self._master.hydra.sweep.dir))
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self._master, folder / "multirun.yaml")
        space, fixed, plain = create_params_from_overrides([*(f"{k}={v}" for k, v in self.params.items()), *arguments])
        for key in fixed:
            space.pop(key, None)  # the command line fixes a key that the file varies
        if not space:
            raise ConfigError(
                "hydra.sweeper.params: there is nothing to search: add a range such as filter.min_turns=range(1,5)"
            )
        digest = digest_of_search(self._master)
        with transaction(self.storage):
            study = open_study(self.storage, self.study_name, self.directions, list(self._master.objective), digest)
        width = self.n_jobs or workers(self._master)
        fixed_overrides = [*(f"{key}={value}" for key, value in fixed.items()), *plain]
        while batch := self._suggested(study, space, width):
            overrides = [[*(f"{key}={value}" for key, value in t.params.items()), *fixed_overrides] for t in batch]
            returns = self._launcher.launch(overrides, initial_job_idx=batch[0].number)
            with transaction(self.storage):
                failed = [ret for trial, ret in zip(batch, returns, strict=True) if not self._tell(study, trial, ret)]
            if len(failed) / len(batch) > self.max_failure_rate:
                _ = [ret.return_value for ret in failed]  # raises the job's error
        self._save(study, folder / "optimization_results.yaml")
        if study.trials and all(trial.state.name == "FAIL" for trial in study.trials):
            raise CachelabError(
                f"hydra.sweeper: all {len(study.trials)} trials of {study.study_name} failed, see the table: "
                "fix the cause, and search with another hydra.sweeper.study_name"
            )

    def _suggested(self, study: "optuna.Study", space: Mapping[str, Any], width: int) -> "list[optuna.Trial]":
        with transaction(self.storage):
            return self._next(study, space, width)

    def _next(self, study: "optuna.Study", space: Mapping[str, Any], width: int) -> "list[optuna.Trial]":
        """The next trials, with consecutive numbers: the unfinished trials of a killed process, else new ones."""
        import optuna

        left = sorted(trial.number for trial in study.trials if trial.state.name == "RUNNING")
        new = max(0, self.n_trials - len(study.trials))
        numbers = left or range(len(study.trials), len(study.trials) + new)
        batch: list[optuna.Trial] = []
        for number in numbers:
            if len(batch) == width or (batch and number != batch[-1].number + 1):
                break
            study.sampler = self._sampler(space, number, "")
            if left:
                trial_id = next(trial._trial_id for trial in study.trials if trial.number == number)
                trial = optuna.Trial(study, trial_id)
                log.info("trial %d was unfinished when its process ended: it runs again", number)
            else:
                trial = study.ask()
            for name, distribution in space.items():
                # One random stream per setting: a trial killed between two suggestions continues in the same way.
                study.sampler = self._sampler(space, number, name)
                trial._suggest(name, distribution)
            batch.append(trial)
        return batch

    def _sampler(self, space: Mapping[str, Any], number: int, name: str) -> Any:
        """The sampler; its seed is derived from the configured seed, the trial's number and the setting."""
        from hydra.utils import instantiate

        seed = self.sampler.get("seed")
        if seed is not None:
            digest = hashlib.sha256(f"{seed} {number} {name}".encode()).digest()
            seed = int.from_bytes(digest[:4], "big") >> 1
        whitelist = ("hydra_plugins.hydra_optuna_sweeper.*", "optuna.samplers.*")
        extra = {} if "seed" not in self.sampler else {"seed": seed}
        sampler = instantiate(self.sampler, **extra, _execution_whitelist_=whitelist)
        if self.sampler.get("_partial_"):
            from hydra_plugins.hydra_optuna_sweeper._impl import OptunaSweeperImpl

            sampler = sampler({key: OptunaSweeperImpl._to_grid_sampler_choices(one) for key, one in space.items()})
        return sampler

    def _tell(self, study: "optuna.Study", trial: "optuna.Trial", ret: "JobReturn") -> bool:
        """Report a job's objectives or its failure to the study. Returns False for a failure.

        Raises ConfigError if an earlier trial of the study read other data.

        A trial whose filter kept nothing is complete and infeasible: samplers avoid trials that violate a constraint,
        but ignore failed trials. Every trial has that constraint, because some samplers need the same constraints on
        all trials.
        """
        from hydra.core.utils import JobStatus
        from optuna.trial import TrialState

        from cachelab.sweep.study import DATA, ERROR, NOTHING_KEPT, RUN_ID, trial_of_other_data, worst

        value = ret._return_value
        if ret.status != JobStatus.COMPLETED:
            trial.set_user_attr(ERROR, format_error(value) if isinstance(value, BaseException) else str(value))
            study.tell(trial, state=TrialState.FAIL)
            return False
        outcome = value.outcome
        if (other := trial_of_other_data(study, trial.params, outcome.data_digest)) is not None:
            why = (
                f"hydra.sweeper.study_name: trial {other} of study {study.study_name} read other data than trial "
                f"{trial.number}: the dataset or a named file has changed: choose another study_name"
            )
            trial.set_user_attr(ERROR, why)
            study.tell(trial, state=TrialState.FAIL)
            raise ConfigError(why)
        trial.set_user_attr(DATA, outcome.data_digest)
        if outcome.run_id is not None:
            trial.set_user_attr(RUN_ID, outcome.run_id)
        if outcome.nothing_kept is not None:
            trial.set_user_attr(NOTHING_KEPT, outcome.nothing_kept)
        known = trial.constraints
        violations = {**outcome.violations, NOTHING_KEPT: float(outcome.nothing_kept is not None)}
        for name, violation in violations.items():
            if name not in known:
                trial.set_constraint(name, violation)
        values = [float(value)] if isinstance(value, float) else [float(one) for one in value]
        if outcome.nothing_kept is not None:
            told = zip(values, self.directions, strict=True)
            values = [worst(direction) if math.isnan(one) else one for one, direction in told]
        study.tell(trial, values)
        return True

    def _save(self, study: "optuna.Study", path: Path) -> None:
        """Write the best trials in the format of hydra-optuna-sweeper."""
        complete = any(trial.state.name == "COMPLETE" for trial in study.trials)
        best = study.best_trials if complete else []
        results: dict[str, Any] = {"name": "optuna"}
        if len(self.directions) > 1:
            results["solutions"] = [{"params": trial.params, "values": trial.values} for trial in best]
        elif best:
            results |= {"best_params": best[0].params, "best_value": best[0].value}
        OmegaConf.save(OmegaConf.create(results), path)


def workers(config: DictConfig) -> int:
    """How many jobs the launcher runs at once. Raises ConfigError if that is unknown."""
    launcher = config.hydra.launcher
    kind = str(launcher.get("_target_", "")).rsplit(".", 1)[-1]
    if kind == "BasicLauncher":
        return 1
    if kind == "JoblibLauncher":
        from joblib import effective_n_jobs

        return int(effective_n_jobs(launcher.n_jobs))
    if kind == "RayLauncher" and launcher.ray.init.get("num_cpus"):
        return max(1, int(launcher.ray.init.num_cpus / launcher.ray.remote.get("num_cpus", 1)))
    raise ConfigError(
        "hydra.sweeper.n_jobs: this launcher has no number of jobs to run at once: set hydra.sweeper.n_jobs=N"
    )
