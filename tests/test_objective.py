"""Objectives and constraints, by hand."""

import pytest

from cachelab.errors import ConfigError
from cachelab.objective import Outcome, Scores, constraints_of, score, violations

VALUES = {"hit_rate/first_prefill": 0.8, "requests/completed": 40.0}


def test_score_takes_one_or_several_metrics() -> None:
    assert score(["requests/completed"], VALUES, Outcome()) == 40.0
    both = score(["requests/completed", "hit_rate/first_prefill"], VALUES, Outcome("run"))
    assert both == (40.0, 0.8)
    assert isinstance(both, Scores)
    assert both.outcome.run_id == "run"


def test_score_names_an_absent_metric() -> None:
    with pytest.raises(ConfigError, match=r"objective.*hit_rate/vllm_cpu"):
        score(["hit_rate/vllm_cpu"], VALUES, Outcome())


def test_violations_are_in_the_metrics_unit() -> None:
    beyond = violations({"requests/completed": ">= 50", "hit_rate/first_prefill": "<= 0.9"}, VALUES)
    assert beyond == {"requests/completed": 10.0, "hit_rate/first_prefill": pytest.approx(-0.1)}
    assert not Outcome(violations=beyond).feasible
    assert Outcome(violations=violations({"requests/completed": ">= 40"}, VALUES)).feasible


def test_constraints_name_the_setting_of_a_wrong_bound() -> None:
    with pytest.raises(ConfigError, match=r"objective_constraints\.requests/completed: '50' is not a bound"):
        constraints_of({"requests/completed": "50"})
