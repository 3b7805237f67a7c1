"""The parts of the command line that are functions."""

from cachelab.cli import config_dir
from cachelab.job import run_name


def test_config_dir_is_the_repositorys_in_a_checkout() -> None:
    assert (config_dir() / "config.yaml").is_file()


def test_run_name_says_what_differs() -> None:
    choices = {"experiment": "multi_turn", "trace": "multi_turn"}
    overrides = ["experiment=multi_turn", "engine.num_blocks=512", "tracking.uri=x", "hydra.run.dir=y"]
    assert run_name(overrides, choices) == "multi_turn engine.num_blocks=512"


def test_run_name_without_an_experiment_names_the_trace() -> None:
    assert run_name([], {"experiment": None, "trace": "single_turn"}) == "trace=single_turn"
