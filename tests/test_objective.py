"""Objectives and constraints, by hand."""

import pytest

from cachelab.errors import ConfigError
from cachelab.metrics.requests import METRICS
from cachelab.objective import Outcome, Scores, bound_of, known_objectives, score, violations

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


@pytest.mark.parametrize("text", ["50", "> 50", ">= many", "", ">= 5 or so"])
def test_bound_of_refuses_what_is_no_bound(text: str) -> None:
    with pytest.raises(ConfigError, match=r"objective_constraints\.requests/completed"):
        bound_of("requests/completed", text)


def test_bound_of_reads_numbers() -> None:
    assert bound_of("x", ">= 50") == (">=", 50.0)
    assert bound_of("x", "<=-1e-3") == ("<=", -0.001)


def test_known_objectives_take_metrics_and_the_stages_numbers() -> None:
    names, numbers = ["requests/completed", "filter/tokens_kept_share"], {"filter/tokens_kept_share": 1.0}
    known_objectives(names, METRICS, numbers)
    with pytest.raises(ConfigError, match="filter/tokens_kept_share"):
        known_objectives(names, METRICS, {})


def test_known_objectives_name_one_that_no_run_has() -> None:
    with pytest.raises(ConfigError, match="no metric requests/finished"):
        known_objectives(["requests/completed", "requests/finished"], METRICS, {})
