"""The resumable search, without Hydra's launchers and without engines: what it asks, tells and remembers."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, OmegaConf, open_dict

from cachelab.composition import config_dir
from cachelab.errors import ConfigError
from cachelab.objective import Outcome, Score, Scores, score_of_nothing, violations
from cachelab.sweep.digest import digest_of_search, digest_of_sweep
from cachelab.sweep.optuna_sweeper import OptunaSweeper, workers
from cachelab.sweep.study import DATA, read_study, trial_of_other_data

Row = tuple[int, dict[str, Any], Any, str, bool]


class Killed(BaseException):
    """Ends a sweep where SIGKILL would."""


class Launcher:
    """Computes the objectives from the overrides; dies before, within or after the job of a given number."""

    def __init__(self, die_at: int | None = None, *, fail: Sequence[int] = (), data: str = "data") -> None:
        self.die_at = die_at
        self.data = data
        self.fail = fail
        self.launched: list[int] = []

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        returns = []
        for number, overrides in enumerate(job_overrides, initial_job_idx):
            if number == self.die_at:
                raise Killed
            self.launched.append(number)
            settings = dict(override.split("=", 1) for override in overrides)
            returns.append(self._return(number, settings))
        return returns

    def _return(self, number: int, settings: dict[str, str]) -> JobReturn:
        ret = JobReturn(status=JobStatus.COMPLETED)
        if number in self.fail:
            ret.status = JobStatus.FAILED
            ret.return_value = ConfigError("filter: keeps none")
            return ret
        longest, least = int(settings["filter.max_prompt_tokens"]), int(settings["filter.min_turns"])
        values = {"rate": 1 - 1 / least - longest / 1e5, "share": longest / 8000, "requests/completed": longest / 10}
        found = Scores((values["rate"], values["share"]))
        beyond = violations({"requests/completed": ">= 50"}, values)
        found.outcome = Outcome(f"run{number}", beyond, data_digest=self.data)
        ret.return_value = found
        return ret


def master(folder: Path, *overrides: str) -> DictConfig:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(config_dir())):
        config = compose(
            "config",
            # what a multirun leaves out of the config that its sweeper gets
            overrides=["experiment=tune_filter", *(o for o in overrides if "range(" not in o)],
            return_hydra_config=True,
        )
    with open_dict(config):
        OmegaConf.set_readonly(config.hydra, False)
        config.hydra.sweep.dir = str(folder / "sweep")
        config.hydra.sweeper.storage = f"sqlite:///{folder}/optuna.db"
        config.hydra.overrides.task = ["experiment=tune_filter", *(o for o in overrides if not o.startswith("hydra."))]
        config.hydra.job.num = 0
        config.hydra.job.id = "0"
        config.hydra.runtime.output_dir = str(folder)
    return config


def search(folder: Path, launcher: Launcher, *overrides: str) -> list[Row]:
    config = master(folder, *overrides)
    settings = {key: value for key, value in config.hydra.sweeper.items() if key != "_target_"}
    sweeper = OptunaSweeper(**settings)
    sweeper._master, sweeper._launcher = config, launcher  # type: ignore[assignment]
    sweeper.sweep(list(config.hydra.overrides.task))
    return rows(folder)


def rows(folder: Path) -> list[Row]:
    study = optuna.load_study(study_name="tune_filter", storage=f"sqlite:///{folder}/optuna.db")
    return [
        (t.number, dict(t.params), t.values, t.state.name, all(value <= 0 for value in t.constraints.values()))
        for t in study.trials
    ]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    folder = tmp_path_factory.mktemp("undisturbed")
    return search(folder, Launcher(), "hydra.sweeper.n_trials=12")


@pytest.mark.parametrize("die_at", [0, 7])
def test_sweep_killed_and_run_again_is_the_undisturbed_one(tmp_path: Path, undisturbed: list[Row], die_at: int) -> None:
    with pytest.raises(Killed):
        search(tmp_path, Launcher(die_at), "hydra.sweeper.n_trials=12")
    assert len(rows(tmp_path)) == die_at + 1  # the one under way is in the study
    again = Launcher()
    assert search(tmp_path, again, "hydra.sweeper.n_trials=12") == undisturbed
    assert again.launched == list(range(die_at, 12))


def test_sweep_killed_while_a_trial_was_suggested_is_the_undisturbed_one(
    tmp_path: Path, undisturbed: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    from optuna.trial import Trial

    suggest, calls = Trial._suggest, [0]

    def dying(self: Trial, name: str, distribution: Any) -> Any:
        calls[0] += 1
        if calls[0] == 3 * 11 + 2:  # the second setting of trial 11, when the sampler has left its random start
            raise Killed
        return suggest(self, name, distribution)

    monkeypatch.setattr(Trial, "_suggest", dying)
    with pytest.raises(Killed):
        search(tmp_path, Launcher(), "hydra.sweeper.n_trials=12")
    assert search(tmp_path, Launcher(), "hydra.sweeper.n_trials=12") == undisturbed


def test_sweep_batches_as_wide_as_asked_and_resumes_them(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    expected = search(whole, Launcher(), "hydra.sweeper.n_trials=9", "hydra.sweeper.n_jobs=4")
    with pytest.raises(Killed):
        search(tmp_path, Launcher(6), "hydra.sweeper.n_trials=9", "hydra.sweeper.n_jobs=4")
    again = Launcher()
    assert search(tmp_path, again, "hydra.sweeper.n_trials=9", "hydra.sweeper.n_jobs=4") == expected
    assert again.launched == [4, 5, 6, 7, 8]  # the whole second batch was under way


def test_sweep_finished_does_nothing_until_more_trials_are_asked_for(tmp_path: Path) -> None:
    first = search(tmp_path, Launcher(), "hydra.sweeper.n_trials=3")
    idle = Launcher()
    assert search(tmp_path, idle, "hydra.sweeper.n_trials=3") == first
    assert idle.launched == []
    more = Launcher()
    assert search(tmp_path, more, "hydra.sweeper.n_trials=5")[:3] == first
    assert more.launched == [3, 4]


def test_sweep_marks_infeasible_trials_and_keeps_them_out_of_the_front(tmp_path: Path) -> None:
    found = search(tmp_path, Launcher(), "hydra.sweeper.n_trials=12", "filter.max_prompt_tokens=range(200,901,100)")
    infeasible = {number for number, params, *_ in found if params["filter.max_prompt_tokens"] < 500}
    assert infeasible
    assert {number for number, *_, feasible in found if not feasible} == infeasible
    assert {state for *_, state, _ in found} == {"COMPLETE"}
    study = read_study(f"sqlite:///{tmp_path}/optuna.db", "tune_filter")
    assert study is not None
    assert set(study.best).isdisjoint(infeasible)
    assert f"{len(infeasible)} infeasible" in study.headlines[0]
    assert study.trials[0].run_id == "run0"


def test_sweep_goes_on_past_failed_trials(tmp_path: Path) -> None:
    found = search(tmp_path, Launcher(fail=[1]), "hydra.sweeper.n_trials=3")
    assert [state for *_, state, _ in found] == ["COMPLETE", "FAIL", "COMPLETE"]


def test_sweep_raises_the_jobs_error_beyond_the_failure_rate(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="keeps none"):
        search(tmp_path, Launcher(fail=[0]), "hydra.sweeper.n_trials=3", "hydra.sweeper.max_failure_rate=0.5")


def test_sweep_refuses_another_sweeps_study(tmp_path: Path) -> None:
    search(tmp_path, Launcher(), "hydra.sweeper.n_trials=1")
    with pytest.raises(ConfigError, match=r"hydra\.sweeper\.study_name"):
        search(tmp_path, Launcher(), "hydra.sweeper.n_trials=2", "engine.num_blocks=2000")


def test_sweep_refuses_data_that_changed_since_the_first_trials(tmp_path: Path) -> None:
    search(tmp_path, Launcher(), "hydra.sweeper.n_trials=2")
    with pytest.raises(ConfigError, match=r"trial 0 of study tune_filter read other data than trial 2"):
        search(tmp_path, Launcher(data="other"), "hydra.sweeper.n_trials=4")
    assert [state for *_, state, _ in rows(tmp_path)] == ["COMPLETE", "COMPLETE", "FAIL"]


def test_other_data_is_what_a_setting_names() -> None:
    study = optuna.create_study()
    trial = study.ask()
    trial.suggest_categorical("dataset.path", ["a", "b"])
    trial.set_user_attr(DATA, "digest of a")
    study.tell(trial, 0.5)
    chosen = trial.params["dataset.path"]
    other = "b" if chosen == "a" else "a"
    assert trial_of_other_data(study, {"dataset.path": other}, "digest of b") is None
    assert trial_of_other_data(study, {"dataset.path": chosen}, "digest of a") is None
    assert trial_of_other_data(study, {"dataset.path": chosen, "order.width": 3}, "digest of b") == 0


@pytest.mark.parametrize("storage", ["sqlite://", "sqlite:///:memory:", "sqlite:///?mode=memory"])
def test_sweep_refuses_a_storage_in_memory(tmp_path: Path, storage: str) -> None:
    config = master(tmp_path)
    settings = {key: value for key, value in config.hydra.sweeper.items() if key != "_target_"}
    sweeper = OptunaSweeper(**(settings | {"storage": storage}))
    sweeper._master = config
    with pytest.raises(ConfigError, match=r"hydra\.sweeper\.storage=.* in memory .* write sqlite:///FILE"):
        sweeper.sweep(list(config.hydra.overrides.task))


def test_sweep_refuses_objectives_without_a_direction_each(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"objective: 1 named, hydra\.sweeper\.direction has 2"):
        search(tmp_path, Launcher(), "objective=[hit_rate/first_prefill]")


def test_sweep_refuses_a_storage_that_is_none(tmp_path: Path) -> None:
    config = master(tmp_path)
    (tmp_path / "optuna.db").mkdir()
    sweeper = OptunaSweeper(**{key: value for key, value in config.hydra.sweeper.items() if key != "_target_"})
    sweeper._master = config
    with pytest.raises(ConfigError, match=r"hydra\.sweeper\.storage"):
        sweeper.sweep(list(config.hydra.overrides.task))


def test_sweep_saves_what_hydras_own_sweeper_would(tmp_path: Path) -> None:
    search(tmp_path, Launcher(), "hydra.sweeper.n_trials=3")
    saved = yaml.safe_load((tmp_path / "sweep" / "optimization_results.yaml").read_text())
    assert saved["name"] == "optuna"
    assert set(saved["solutions"][0]) == {"params", "values"}
    assert (tmp_path / "sweep" / "multirun.yaml").is_file()


def test_workers_follow_the_launcher(tmp_path: Path) -> None:
    assert workers(master(tmp_path)) == 1
    assert workers(master(tmp_path, "hydra/launcher=joblib", "hydra.launcher.n_jobs=3")) == 3
    config = master(tmp_path)
    ray = OmegaConf.create(
        {"_target_": "hydra_plugins.hydra_ray_launcher.ray_launcher.RayLauncher", "ray": {"init": {}, "remote": {}}}
    )
    with open_dict(config):
        config.hydra.launcher = ray
    with pytest.raises(ConfigError, match=r"hydra\.sweeper\.n_jobs"):
        workers(config)
    config.hydra.launcher.ray.init = {"num_cpus": 4}
    config.hydra.launcher.ray.remote = {"num_cpus": 2}
    assert workers(config) == 2


def test_score_is_a_number_to_any_sweeper() -> None:
    import pickle

    one = Score(0.5)
    one.outcome = Outcome("run")
    back = pickle.loads(pickle.dumps(one))
    assert float(back) == 0.5
    assert back.outcome == Outcome("run")


class Filtering(Launcher):
    """As Launcher, but a filter of fewer than 1,000 tokens keeps nothing."""

    def _return(self, number: int, settings: dict[str, str]) -> JobReturn:
        if int(settings["filter.max_prompt_tokens"]) >= 1000:
            return super()._return(number, settings)
        names = ("hit_rate/first_prefill", "filter/tokens_kept_share")
        beyond = violations({"requests/completed": ">= 50"}, {"requests/completed": 0.0})
        ret = JobReturn(status=JobStatus.COMPLETED)
        outcome = Outcome(f"run{number}", beyond, nothing_kept="filter: keeps none of 99 conversations")
        ret.return_value = score_of_nothing(names, {"filter/tokens_kept_share": 0.0}, outcome)
        return ret


@pytest.mark.parametrize("sampler", ["tpe", "nsgaii", "gp"])
def test_sweep_trials_that_keep_nothing_are_complete_and_infeasible(tmp_path: Path, sampler: str) -> None:
    found = search(tmp_path, Filtering(), "hydra.sweeper.n_trials=12", f"hydra/sweeper/sampler={sampler}")
    empty = {number for number, params, *_ in found if params["filter.max_prompt_tokens"] < 1000}
    assert empty
    assert {state for *_, state, _ in found} == {"COMPLETE"}
    assert {number for number, *_, feasible in found if not feasible} == empty
    assert {tuple(values) for number, _, values, *_ in found if number in empty} == {(-math.inf, 0.0)}
    study = read_study(f"sqlite:///{tmp_path}/optuna.db", "tune_filter")
    assert study is not None
    assert set(study.best).isdisjoint(empty)
    assert f"{len(empty)} infeasible" in study.headlines[0]
    assert {trial.number for trial in study.trials if trial.values is None} == empty
    assert all(study.draw().values())
    study.write(tmp_path)
    rows = list(csv.DictReader((tmp_path / "trials.csv").open()))
    lost = [row for row in rows if int(row["trial"]) in empty]
    assert {(row["state"], row["feasible"], row["hit_rate/first_prefill"], row["reason"]) for row in lost} == {
        ("COMPLETE", "0", "", "filter: keeps none of 99 conversations")
    }


def test_sweep_learns_to_avoid_what_keeps_nothing(tmp_path: Path) -> None:
    found = search(tmp_path, Filtering(), "hydra.sweeper.n_trials=40")
    empty = [params["filter.max_prompt_tokens"] < 1000 for _, params, *_ in found]
    assert sum(empty[:10]) > 1  # drawn at random
    assert sum(empty[-20:]) <= 1


def test_sweep_without_any_feasible_trial_has_no_best(tmp_path: Path) -> None:
    search(tmp_path, Filtering(), "hydra.sweeper.n_trials=3", "filter.max_prompt_tokens=range(200,901,100)")
    study = read_study(f"sqlite:///{tmp_path}/optuna.db", "tune_filter")
    assert study is not None
    assert study.headlines == ["no best trial: no feasible one among 3 trials of study tune_filter (3 infeasible)"]


def test_another_study_is_another_sweep_of_the_same_search(tmp_path: Path) -> None:
    one, other = master(tmp_path), master(tmp_path, "hydra.sweeper.study_name=cc")
    assert digest_of_sweep(one) != digest_of_sweep(other)
    assert digest_of_search(one) == digest_of_search(other)
    elsewhere = master(tmp_path)
    elsewhere.hydra.sweeper.storage = "sqlite:///other.db"
    assert digest_of_sweep(one) != digest_of_sweep(elsewhere)
    assert digest_of_sweep(one) == digest_of_sweep(master(tmp_path, "hydra.sweeper.n_trials=99"))


def test_a_storages_file_is_the_same_under_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = master(tmp_path)
    absolute = digest_of_sweep(config)
    config.hydra.sweeper.storage = "sqlite:///optuna.db"
    monkeypatch.chdir(tmp_path)
    assert digest_of_sweep(config) == absolute
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert digest_of_sweep(config) != absolute
