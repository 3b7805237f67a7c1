from collections.abc import Sequence
from dataclasses import replace

from cachelab.message import LoggedUsage
from cachelab.metrics.base import AnyMetric
from cachelab.pipeline import Result
from cachelab.report.summary import summary
from cachelab.tracking.description import RunDescription


def test_summary_holds_the_run(result: Result, description: RunDescription, metrics: Sequence[AnyMetric]) -> None:
    lines = summary(result, description, metrics, {"a": "What a shows", "b": None}).splitlines()

    assert lines[0] == "# multi_turn order=sessions"
    assert "**first-prefill block hit rate 63.64 % (7 of 11 full prompt blocks)**" in lines
    assert "| first_prefill | 63.64 % | 7 of 11 blocks |" in lines
    assert "| 1 | 1 | 3 | 4 | 75.00 % |" in lines
    assert "    python -m cachelab experiment=multi_turn order=sessions" in lines
    assert f"- dataset: sample from sample.json, SHA-256 {'ab' * 32}" in lines
    assert "- `figures/a.svg`: What a shows" in lines
    assert "- b: omitted, this run has no data for it" in lines


def test_summary_defines_every_metric(
    result: Result, description: RunDescription, metrics: Sequence[AnyMetric]
) -> None:
    text = summary(result, description, metrics, {})

    for metric in metrics:
        assert f"| {metric.name} |" in text
        assert metric.definition in text
    assert "| hit_rate/vllm_cpu | - | ratio |" in text
    assert "| reuse_gap/mean_s | 2 | s (simulated) |" in text
    assert "| turn/hit_rate | 3 steps | ratio |" in text
    assert "| minute/hit_rate | 1 step | ratio |" in text


def test_summary_tables_have_equal_columns(
    result: Result, description: RunDescription, metrics: Sequence[AnyMetric]
) -> None:
    for table in summary(result, description, metrics, {}).split("\n\n"):
        bars = {line.replace("\\|", "").count("|") for line in table.splitlines() if line.startswith("|")}
        assert len(bars) <= 1


def test_summary_holds_what_the_log_says(
    result: Result, description: RunDescription, metrics: Sequence[AnyMetric]
) -> None:
    # A/1 and A/2 log both numbers: 9 of 36 tokens; this run hit 12 + 16 of 16 + 20, and so would an unlimited cache.
    usages = {"A/1": LoggedUsage(16, 4), "A/2": LoggedUsage(20, 5), "A/0": LoggedUsage(9)}
    observation = result.observation
    requests = {id: replace(request, usage=usages.get(id)) for id, request in observation.requests.items()}
    logged = replace(result, observation=replace(observation, requests=requests))

    line = (
        "the log says 25.00 %; this run 77.78 %; an unlimited cache 77.78 % (in tokens, the requests with logged usage)"
    )
    assert line in summary(logged, description, metrics, {}).splitlines()
    assert "the log says" not in summary(result, description, metrics, {})
