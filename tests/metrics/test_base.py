from dataclasses import replace
from typing import Any

import pytest

from cachelab.metrics import hit_rate
from cachelab.metrics.base import AnyMetric, Metric, measure
from cachelab.metrics.blocks import block_table
from cachelab.metrics.observation import Observation
from cachelab.metrics.requests import request_table
from cachelab.metrics.turn import turn_table


def _metric(name: str, unit: str = "s") -> Metric:
    return Metric(name, unit, "A number.", lambda observation: None)


@pytest.mark.parametrize(
    ("unit", "label"),
    [("s", "s (simulated)"), ("tokens/s", "tokens/s (simulated)"), ("requests", "requests"), ("steps", "steps")],
)
def test_unit_label_simulated_clock(unit: str, label: str) -> None:
    assert _metric("a", unit).unit_label("simulated") == label
    assert _metric("a", unit).unit_label("wall") == unit


def test_measure_nothing_completed(nothing_completed: Observation, default_metrics: tuple[AnyMetric, ...]) -> None:
    numbers = measure(default_metrics, nothing_completed)
    assert numbers.series == {}
    assert numbers.values == {
        "blocks/total": 0,
        "blocks/hit": 0,
        "blocks/reused_distinct": 0,
        "blocks/reuses": 0,
        "requests/submitted": 1,
        "requests/completed": 0,
        "requests/rejected": 1,
        "requests/preempted": 0,
        "requests/preemptions": 0,
        "requests/replies_cut": 0,
        "requests/prompt_tokens": 0,
        "requests/cached_tokens": 0,
    }
    assert [len(column) for column in block_table(nothing_completed).values()] == [0] * 6
    assert [len(column) for column in turn_table(nothing_completed).values()] == [0] * 5
    assert {len(column) for column in request_table(nothing_completed).values()} == {1}


def test_measure_host_tier_unused(golden: Observation, default_metrics: tuple[AnyMetric, ...]) -> None:
    counters = replace(golden.counters, host_queries_tokens=0, host_hits_tokens=0)
    values = measure(default_metrics, replace(golden, counters=counters)).values
    assert "hit_rate/vllm_cpu" not in values


def test_ratios_agree_with_metrics(golden: Observation, default_metrics: tuple[AnyMetric, ...]) -> None:
    values = measure(default_metrics, golden).values
    ratios: dict[str, Any] = {name: ratio(golden) for name, ratio in hit_rate.RATIOS.items()}
    assert ratios["hit_rate/first_prefill"] == (12, 21)
    assert ratios["hit_rate/vllm_gpu_all_prefills"] == (100, 155)
    assert {name: ratio.value for name, ratio in ratios.items()} == {name: values[name] for name in ratios}


def test_vllms_counters_are_absent_where_vllm_did_not_run(
    golden: Observation, default_metrics: tuple[AnyMetric, ...]
) -> None:
    of_vllm = measure(default_metrics, golden).values
    replayed = replace(golden, counters=replace(golden.counters, of_vllm=False))
    values = measure(default_metrics, replayed).values
    assert of_vllm.keys() - values.keys() == {"hit_rate/vllm_gpu", "hit_rate/vllm_gpu_all_prefills"}
    assert replayed.counters == golden.counters  # who counted is no difference between two engines
