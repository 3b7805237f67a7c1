"""The bounds that a run does not meet."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachelab.bound import Bound
from cachelab.errors import ConfigError
from cachelab.requirement import Unmet, bounds_of, required, tags_of, unmet

REQUIRE = {"hit_rate/first_prefill": ">= 0.8", "losses/never_seen": "<= 0.02", "hit_rate/vllm_cpu": ">= 0.1"}


def why(name: str) -> str:
    return f"no {name.rpartition('/')[2]} here"


def test_unmet_lists_each_bound_in_the_order_of_the_setting() -> None:
    found = unmet(REQUIRE, {"losses/never_seen": 0.25, "hit_rate/first_prefill": 0.8}, why)
    assert [str(one) for one in found] == [
        "require: losses/never_seen is 0.25, required <= 0.02",
        "require: hit_rate/vllm_cpu is absent (no vllm_cpu here), required >= 0.1",
    ]


def test_unmet_is_empty_where_every_bound_is_met() -> None:
    values = {"hit_rate/first_prefill": 0.8, "losses/never_seen": 0.02, "hit_rate/vllm_cpu": 1.0}
    assert unmet(REQUIRE, values, why) == ()
    assert unmet({}, {}, why) == ()


def test_nan_meets_no_bound() -> None:
    assert len(unmet({"a": ">= 0", "b": "<= 0"}, {"a": float("nan"), "b": float("nan")}, why)) == 2


def test_line_shows_enough_digits_to_differ_from_the_bound() -> None:
    assert str(Unmet("x", Bound(">=", 0.8), 0.7123456)) == "require: x is 0.7123, required >= 0.8"
    assert str(Unmet("x", Bound(">=", 0.8), 0.7999999)) == "require: x is 0.7999999, required >= 0.8"
    assert str(Unmet("x", Bound("<=", 10000), 10001.0)) == "require: x is 10001, required <= 10000"


@given(
    st.floats(-1e6, 1e6),
    st.floats(-1e6, 1e6).map(lambda bound: round(bound, 4)),
    st.sampled_from([">=", "<="]),
)
def test_shown_value_never_meets_the_bound(value: float, bound: float, sign: str) -> None:
    for one in unmet({"x": f"{sign} {bound!r}"}, {"x": value}, why):
        shown = float(str(one).split(" is ")[1].split(",")[0])
        assert one.bound.distance(shown) > 0


def test_tags_say_whether_the_bounds_are_met() -> None:
    assert tags_of([]) == {"cachelab.requirements_met": "true"}
    found = unmet(REQUIRE, {"losses/never_seen": 0.0, "hit_rate/first_prefill": 0.5}, why)
    assert tags_of(found) == {
        "cachelab.requirements_met": "false",
        "cachelab.unmet": "require: hit_rate/first_prefill is 0.5, required >= 0.8; "
        "require: hit_rate/vllm_cpu is absent (no vllm_cpu here), required >= 0.1",
    }


def test_bounds_of_names_the_metric_of_a_wrong_bound() -> None:
    with pytest.raises(ConfigError, match=r"require\.hit_rate/ideal: '0\.8' is not a bound"):
        bounds_of({"hit_rate/ideal": "0.8"})


def test_required_reads_the_parameters_of_a_run() -> None:
    parameters = {"engine.block_size": "8", "require.hit_rate/ideal": ">= 0.5", "require": "{}", "required.x": "1"}
    assert required(parameters) == {"hit_rate/ideal": ">= 0.5"}
