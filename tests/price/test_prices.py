"""Tokens as money: pure functions and their settings."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachelab.build import build_part
from cachelab.composition import composed
from cachelab.errors import ConfigError
from cachelab.price import GpuHours, PerToken, PromptTokens

COUNTS = st.integers(0, 10**9)
TOKENS = st.builds(PromptTokens, fresh=COUNTS, cached=COUNTS, written=COUNTS)


def built(*overrides: str) -> Any:
    return build_part("price", composed(list(overrides)).config["price"], [])


def test_tokens_are_charged_by_the_million() -> None:
    tokens = PromptTokens(fresh=2_000_000, cached=10_000_000, written=1_000_000)
    assert PerToken(fresh=3, cached=0.3).cost(tokens) == 3 * (2 + 1) + 0.3 * 10  # no price of its own for storing
    assert PerToken(fresh=3, cached=0.3, written=3.75).cost(tokens) == 3 * 2 + 0.3 * 10 + 3.75


@pytest.mark.parametrize(
    ("lifetime_s", "price"), [(60, 7.5), (300, 7.5), (301, 12), (3600, 12), (9999, None), (None, None)]
)
def test_storing_has_a_price_by_lifetime(lifetime_s: float | None, price: float | None) -> None:
    tokens = PromptTokens(fresh=0, cached=0, written=2_000_000, lifetime_s=lifetime_s)
    assert PerToken(fresh=3, cached=0.3, written={3600: 6.0, 300: 3.75}).cost(tokens) == price
    assert PerToken(fresh=3, cached=0.3, written={300: 3.75}).cost(PromptTokens(10**6, 10**6, 0)) == pytest.approx(3.3)


def test_gpus_are_paid_while_they_compute() -> None:
    # 25,000 tokens per second on a replica of 8 GPUs: 90,000,000 tokens take 3,600 s, 8 GPU hours
    price = GpuHours(per_hour=2.5, gpus=8, prefill_token_s=0.00004)
    tokens = PromptTokens(fresh=45_000_000, cached=10**9, written=45_000_000)
    assert price.gpu_seconds(tokens) == pytest.approx(8 * 3600)
    assert price.cost(tokens) == pytest.approx(20)


@given(TOKENS, TOKENS)
def test_price_of_two_workloads_is_the_sum(one: PromptTokens, other: PromptTokens) -> None:
    both = PromptTokens(one.fresh + other.fresh, one.cached + other.cached, one.written + other.written)
    for price in (PerToken(3, 0.3, 3.75), GpuHours(2.5, 2, 0.00004)):
        costs = [price.cost(one) or 0.0, price.cost(other) or 0.0]
        assert sum(costs) == pytest.approx(price.cost(both))


def test_options_build_prices() -> None:
    assert built("price=per_token", "price.fresh=3", "price.cached=0.3") == PerToken(fresh=3, cached=0.3)
    by_lifetime = built("price=per_token", "price.fresh=3", "price.cached=0.3", "price.written={300: 3.75, 3600: 6}")
    assert by_lifetime == PerToken(fresh=3, cached=0.3, written={300: 3.75, 3600: 6})
    simulated = built("price=gpu_hours", "price.per_hour=2", "engine.cost.prefill_token_s=0.001", "price.currency=EUR")
    assert simulated == GpuHours(per_hour=2, prefill_token_s=0.001, currency="EUR")


def test_engine_without_a_linear_cost_model_needs_the_speed() -> None:
    for engine in (["engine=cpu"], ["engine/cost=table", "engine.cost.path=a.csv"]):  # measured steps, not tokens
        with pytest.raises(ConfigError, match=r"price\.prefill_token_s: this engine has no linear cost model: give"):
            built("price=gpu_hours", "price.per_hour=2", *engine)
    assert built("price=gpu_hours", "price.per_hour=2", "engine=cpu", "price.prefill_token_s=0.1").per_hour == 2


@pytest.mark.parametrize("price", ["-1", "nan", "free", "1e10"])
def test_wrong_price_is_refused(price: str) -> None:
    with pytest.raises(ConfigError, match=r"^price\.cached: "):
        built("price=per_token", "price.fresh=3", f"price.cached={price}")


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("{5min: 3.75}", r"^price\.written\.5min: input should be a valid integer"),
        ("{300: much}", r"^price\.written\.300: input should be a valid number, got 'much'$"),
        ("much", r"^price\.written: input should be a valid number, got 'much'$"),
    ],
)
def test_wrong_price_by_lifetime_names_the_lifetime(written: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        built("price=per_token", "price.fresh=3", "price.cached=0.3", f"price.written={written}")
