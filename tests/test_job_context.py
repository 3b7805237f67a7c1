"""What a job is told next to its config."""

from pathlib import Path

from hydra.types import RunMode
from omegaconf import OmegaConf

from cachelab.job_context import JobContext
from cachelab.sweep.callback import PARENT_VARIABLE, SWEPT_VARIABLE
from cachelab.tracking.description import SweepMember

CHOICES = {"experiment": "multi_turn", "trace": "multi_turn"}


def context(*overrides: str, sweep: SweepMember | None = None, **choices: str | None) -> JobContext:
    return JobContext(overrides, CHOICES | choices, Path("out"), sweep)


def test_run_name_says_what_differs() -> None:
    job = context("experiment=multi_turn", "engine.num_blocks=512", "tracking.uri=x", "hydra.run.dir=y")
    assert job.run_name == "multi_turn engine.num_blocks=512"


def test_run_name_without_an_experiment_names_the_trace() -> None:
    assert context(experiment=None, trace="single_turn").run_name == "trace=single_turn"


def test_run_name_in_a_sweep_names_what_the_sweep_varies() -> None:
    member = SweepMember("parent", 0, ("engine.num_blocks",))
    job = context("experiment=multi_turn", "+engine.num_blocks=512", "order=by_turn", sweep=member)
    assert job.run_name == "512 blocks"


def test_run_name_in_a_sweep_of_several_settings() -> None:
    member = SweepMember("parent", 0, ("engine.num_blocks", "order", "filter.min_turns"))
    job = context("engine.num_blocks=257", "order=by_turn", "filter.min_turns=3", "dataset.path=x", sweep=member)
    assert job.run_name == "257 blocks, by_turn, min_turns=3"


def test_name_leaves_out_the_bounds_of_a_run() -> None:
    bound = "++require={hit_rate/first_prefill: '>= 0.5'}"
    assert context("experiment=multi_turn", "order=by_turn", bound).run_name == "multi_turn order=by_turn"


def test_command_is_quoted_for_a_shell() -> None:
    assert context("dataset.path=my chats.json").command == "python -m cachelab 'dataset.path=my chats.json'"


def test_context_of_a_job_on_its_own() -> None:
    node = OmegaConf.create(
        {
            "mode": RunMode.RUN,
            "overrides": {"task": ["order=by_turn"]},
            "runtime": {"choices": {"order": "by_turn", "export": None}, "output_dir": "/runs/1"},
            "job": {"env_set": {}},
            "sweeper": {"n_trials": 3},
        }
    )
    assert JobContext.of(node) == JobContext(["order=by_turn"], {"order": "by_turn", "export": None}, Path("/runs/1"))


def test_context_of_a_trial() -> None:
    node = OmegaConf.create(
        {
            "mode": RunMode.MULTIRUN,
            "overrides": {"task": ["filter.min_turns=3"]},
            "runtime": {"choices": {}, "output_dir": "/runs/4"},
            "job": {"num": 4, "env_set": {PARENT_VARIABLE: "abc", SWEPT_VARIABLE: "filter.min_turns"}},
            "sweeper": {"n_trials": 3},
        }
    )
    job = JobContext.of(node)
    assert job.sweep == SweepMember("abc", 4, ("filter.min_turns",))
    assert job.searching
    del node.sweeper["n_trials"]
    assert not JobContext.of(node).searching
