"""The prices of docs/metrics.md's example, worked by hand."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from cachelab.engine.policy import Ttl
from cachelab.engine.replay import ReplayEngine
from cachelab.metrics.base import measure
from cachelab.metrics.observation import Observation
from cachelab.order.sessions import Sessions
from cachelab.price import GpuHours, PerToken, PromptTokens
from cachelab.price.metrics import price_metrics
from workloads import conversation

API = PerToken(fresh=3, cached=0.3, written=3.75)
DOCUMENT = Path(__file__).resolve().parents[2] / "docs/metrics.md"


def test_prompt_tokens_of_the_example(golden: Observation) -> None:
    # 95 prompt tokens; 21 full blocks of 4 hold 84 of them; 48 were cached, an unlimited cache holds 14 blocks
    assert PromptTokens.of(golden) == PromptTokens(fresh=95 - 84, cached=48, written=84 - 48)
    assert PromptTokens.uncached(golden) == PromptTokens(fresh=95, cached=0, written=0)
    assert PromptTokens.ideal(golden) == PromptTokens(fresh=11, cached=56, written=28)


def test_without_prefix_caching_no_token_is_written(golden: Observation) -> None:
    records = [replace(record, cached_tokens=0) for record in golden.records]
    off = replace(golden, records=records, counters=replace(golden.counters, queries_tokens=0, hits_tokens=0))
    assert PromptTokens.of(off) == PromptTokens.ideal(off) == PromptTokens(fresh=95, cached=0, written=0)


def test_prices_of_the_example(golden: Observation) -> None:
    values = measure(price_metrics(API), golden).values
    assert values == pytest.approx(
        {
            "price/prompts": (11 * 3 + 48 * 0.3 + 36 * 3.75) / 1e6,  # 182.4 millionths
            "price/prompts_uncached": 95 * 3 / 1e6,
            "price/prompts_ideal": (11 * 3 + 56 * 0.3 + 28 * 3.75) / 1e6,  # 154.8
            "price/per_1000_requests": 182.4e-6 * 1000 / 9,
            "price/saved_share": (285 - 182.4) / 285,
        }
    )
    gpu = measure(price_metrics(GpuHours(per_hour=36, gpus=2, prefill_token_s=0.001)), golden).values
    assert gpu["price/prompts"] == pytest.approx((95 - 48) * 0.001 * 2 / 3600 * 36)
    assert gpu["price/prompts_uncached"] == pytest.approx(95 * 0.001 * 2 / 3600 * 36)
    assert gpu["price/saved_share"] == pytest.approx(48 / 95)


def test_expired_tokens_cost_what_writing_them_again_costs() -> None:
    # Blocks of 4; the second turn comes after 10 s, blocks last 5 s. Its 8 cached tokens have expired, and the request
    # writes 16 tokens instead of 8.
    requests = conversation("a", (list(range(8)), [90]), (list(range(10, 17)), [91]))
    requests = [replace(entry, think_s=10.0 if entry.turn_index else None) for entry in requests]
    schedule = Sessions(num_users=1, think_s="recorded").arrange(requests)
    engine = ReplayEngine(policy=Ttl(ttl_s=5.0), block_size=4, max_model_len=40, num_blocks=20)
    observation = Observation.of(requests, engine.run(schedule, lambda ended: None))
    assert PromptTokens.of(observation) == PromptTokens(fresh=0, cached=0, written=24, lifetime_s=5.0)
    assert PromptTokens.without_expiry(observation) == PromptTokens(fresh=0, cached=8, written=16, lifetime_s=5.0)
    values = measure(price_metrics(API), observation).values
    assert values["price/expired"] == pytest.approx(8 * (3.75 - 0.3) / 1e6)


def test_document_has_the_prices(golden: Observation) -> None:
    rows = dict(re.findall(r"^\| `(price/\w+)` \|.* = (\S+) \|$", DOCUMENT.read_text("utf-8"), re.MULTILINE))
    values = measure(price_metrics(API), golden).values
    assert {name: float(text) for name, text in rows.items()} == pytest.approx(dict(values), rel=1e-3)
    for metric in price_metrics(API):
        assert f"| `{metric.name}` | " in DOCUMENT.read_text("utf-8")
        assert f" {metric.definition} | {metric.absent_when} | " in DOCUMENT.read_text("utf-8")


def test_nothing_completed_has_no_price(nothing_completed: Observation) -> None:
    assert measure(price_metrics(API), nothing_completed).values == {}


def test_free_prompts_save_no_share(golden: Observation) -> None:
    values = measure(price_metrics(PerToken(fresh=0, cached=0)), golden).values
    assert values["price/prompts"] == 0
    assert "price/saved_share" not in values
