"""The tables of what the engine did."""

from dataclasses import replace

import pytest

from cachelab.pipeline import Result
from cachelab.report.engine_sections import engine_counters, outcomes, timing
from section_rows import rows


def test_outcomes_with_reasons(result: Result) -> None:
    assert rows(outcomes(result)) == {
        "submitted": ("4",),
        "completed": ("3",),
        "rejected": ("1",),
        "prompt of 40 tokens leaves no room in max_model_len 32": ("1",),
        "preempted": ("0",),
        "replies cut to fit": ("0",),
    }


@pytest.mark.parametrize(
    ("clock", "title"), [("simulated", "Latency and throughput (simulated)"), ("wall", "Latency and throughput")]
)
def test_timing_names_the_clock(result: Result, clock: str, title: str) -> None:
    counters = replace(result.run.counters, clock=clock)  # type: ignore[arg-type]
    timed = replace(result, run=replace(result.run, counters=counters))

    assert timing(timed).title == title
    # each first token 0.25 s, each request 0.5 s after its submission
    assert rows(timing(timed))["time to first token, s"] == ("0.2500",) * 3
    assert rows(timing(timed))["whole request, s"] == ("0.5000",) * 3


def test_engine_counters_host_tier(result: Result) -> None:
    host = replace(result.run.counters, host_queries_tokens=40, host_hits_tokens=10)
    shown = engine_counters(replace(result, run=replace(result.run, counters=host)))

    assert rows(engine_counters(result))["host tier: tokens hit"] == ("-",)
    assert rows(shown)["host tier: tokens hit"] == ("10",)
    assert "No host tier" in engine_counters(result).note
    assert "No host tier" not in shown.note
