"""The table of prices: what it says where a price by lifetime does not cover the run's blocks."""

from dataclasses import replace

import pytest

from cachelab.metrics.base import Numbers, measure
from cachelab.pipeline import Result
from cachelab.price import PerToken
from cachelab.price.metrics import price_metrics
from cachelab.report.price_section import prices
from cachelab.tracking.description import RunDescription
from section_rows import rows

BY_LIFETIME = PerToken(fresh=3, cached=0.3, written={300: 3.75, 3600: 6})


def priced(result: Result, price: PerToken, lifetime_s: float | None = None) -> Result:
    counters = replace(result.run.counters, lifetime_s=lifetime_s, policy="lru" if lifetime_s is None else "ttl")
    observation = replace(result.observation, counters=counters)
    values = measure(price_metrics(price), observation).values
    run = replace(result.run, counters=counters)
    return replace(result, run=run, observation=observation, numbers=Numbers(values, {}))


def test_prices_of_the_run(result: Result, description: RunDescription) -> None:
    # 45 prompt tokens, 28 cached; the 11 full blocks of 4 hold 44: 16 are written and 1 is fresh.
    config = {**description.config, "price": {"currency": "EUR"}}
    section = prices(priced(result, PerToken(fresh=3, cached=0.3)), replace(description, config=config))

    assert rows(section)["as run"] == ("EUR 5.94e-05",)  # (17 * 3 + 28 * 0.3) / 10^6
    assert rows(section)["without a prefix cache"] == ("EUR 0.000135",)
    assert rows(section)["saved by the cache"] == ("56.00 %",)
    assert section.note == ""


@pytest.mark.parametrize(
    ("lifetime_s", "note"),
    [
        (None, "by lifetime, and these blocks never expire (policy lru): set one number, or engine/policy=ttl."),
        (7200, "has no lifetime of 7,200 s or more, for which these blocks are kept: add one."),
    ],
)
def test_missing_price_as_run_has_a_reason(
    result: Result, description: RunDescription, lifetime_s: float | None, note: str
) -> None:
    section = prices(priced(result, BY_LIFETIME, lifetime_s), description)

    assert [row[0] for row in section.rows] == ["without a prefix cache"]
    assert section.note.startswith("No price as run: price.written ")
    assert section.note.endswith(note)


def test_run_without_a_price_has_no_table(result: Result, description: RunDescription) -> None:
    assert prices(result, description).rows == []
    assert prices(result, description).note == ""
    assert prices(priced(result, BY_LIFETIME, 3600), description).note == ""
