"""The parts of the command line that are functions."""

from types import SimpleNamespace
from typing import Any

import pytest

from cachelab.cli import config_dir, objective, run_name
from cachelab.errors import ConfigError


def result(**values: float) -> Any:
    return SimpleNamespace(numbers=SimpleNamespace(values={name.replace("__", "/"): v for name, v in values.items()}))


def test_config_dir_is_the_repositorys_in_a_checkout() -> None:
    assert (config_dir() / "config.yaml").is_file()


def test_run_name_says_what_differs() -> None:
    choices = {"experiment": "multi_turn", "trace": "multi_turn"}
    overrides = ["experiment=multi_turn", "engine.num_blocks=512", "tracking.uri=x", "hydra.run.dir=y"]
    assert run_name(overrides, choices) == "multi_turn engine.num_blocks=512"


def test_run_name_without_an_experiment_names_the_trace() -> None:
    assert run_name([], {"experiment": None, "trace": "single_turn"}) == "trace=single_turn"


def test_objective_of_one_metric_is_a_number() -> None:
    assert objective(["a/b"], result(a__b=0.5)) == 0.5


def test_objective_of_two_metrics_is_both_in_order() -> None:
    assert objective(["c", "a/b"], result(a__b=0.5, c=2.0)) == (2.0, 0.5)


def test_objective_that_is_absent_is_named() -> None:
    with pytest.raises(ConfigError, match="no metric x/y"):
        objective(["a/b", "x/y"], result(a__b=0.5))
