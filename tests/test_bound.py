"""Bounds as settings write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachelab.bound import Bound
from cachelab.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "sign", "value"),
    [(">= 50", ">=", 50.0), ("<=-1e-3", "<=", -0.001), (" >= .5 ", ">=", 0.5), ("<= 1.", "<=", 1.0)],
)
def test_bound_is_read(text: str, sign: str, value: float) -> None:
    bound = Bound.of(text, "x")
    assert (bound.sign, bound.value) == (sign, value)


@pytest.mark.parametrize(
    "text", ["50", "> 50", "== 1", ">= many", "", ">= 5 or so", ">= 1.2.3", ">= .", ">= nan", "<= inf", "=> 1", ">= ٣"]
)
def test_bound_refuses_other_texts(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^objective_constraints\.requests/completed: .* is not a bound: write"):
        Bound.of(text, "objective_constraints.requests/completed")


def test_distance_is_in_the_metrics_unit() -> None:
    assert Bound(">=", 50).distance(40) == 10  # 10 too few
    assert Bound(">=", 50).distance(50) == 0
    assert Bound("<=", 0.5).distance(0.75) == 0.25
    assert Bound("<=", 0.5).distance(0.25) == -0.25


@given(st.sampled_from([">=", "<="]), st.floats(-1e9, 1e9, allow_nan=False).map(lambda value: round(value, 3)))
def test_bound_as_text_is_read_back(sign: str, value: float) -> None:
    bound = Bound.of(f"{sign} {value!r}", "x")
    assert Bound.of(str(bound), "x") == bound
