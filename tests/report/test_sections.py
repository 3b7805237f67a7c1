from collections.abc import Sequence
from dataclasses import replace

import pytest

from cachelab.metrics.base import Numbers
from cachelab.pipeline import Result
from cachelab.report.reuse_sections import reuse, reuse_gaps
from cachelab.report.section import Section
from cachelab.report.sections import (
    context,
    engine_counters,
    headline,
    hit_rates,
    outcomes,
    sections,
    timing,
)
from cachelab.report.settings import settings, stages
from cachelab.report.turns_section import turns
from cachelab.tracking.description import RunDescription


def rows(section: Section) -> dict[str, tuple[str, ...]]:
    return {row[0].strip(): row[1:] for row in section.rows}


def test_headline_numerator_and_denominator(result: Result) -> None:
    # 7 / 11 = 0.63636
    assert headline(result) == "first-prefill block hit rate 63.64 % (7 of 11 full prompt blocks)"
    assert context(result) == "3 of 4 requests completed; an unlimited cache would hit 63.64 %"


def test_headline_nothing_completed(all_rejected: Result) -> None:
    assert headline(all_rejected) == "first-prefill block hit rate - (no completed request has a full block)"
    assert context(all_rejected) == "0 of 1 requests completed"


def test_hit_rates_of_the_run(result: Result) -> None:
    shown = rows(hit_rates(result))

    assert shown["first_prefill"] == ("63.64 %", "7 of 11 blocks")
    # (12 + 16) / (9 + 16 + 20) = 28 / 45
    assert shown["first_prefill_tokens"] == ("62.22 %", "28 of 45 tokens")
    # (0 / 9 + 12 / 16 + 16 / 20) / 3 = 1.55 / 3
    assert shown["per_request_mean"] == ("51.67 %", "mean over 3 requests")
    # the last 2 of 3 requests: 28 / (16 + 20)
    assert shown["steady"] == ("77.78 %", "28 of 36 tokens")
    assert shown["ideal"] == ("63.64 %", "7 of 11 blocks")
    assert shown["of_ideal"] == ("100.00 %", "7 of 7 blocks")
    assert shown["vllm_cpu"] == ("-", "no host tier (KV connector) is on")


def test_hit_rates_say_why_they_are_absent(all_rejected: Result) -> None:
    shown = rows(hit_rates(all_rejected))

    assert {value for value, _ in shown.values()} == {"-"}
    assert shown["first_prefill"] == ("-", "no request completed")


def test_hit_rates_metric_group_left_out(result: Result) -> None:
    without = Numbers({k: v for k, v in result.numbers.values.items() if k != "hit_rate/ideal"}, {})

    assert rows(hit_rates(replace(result, numbers=without)))["ideal"] == (
        "-",
        "its metric group is not in metrics.*",
    )


def test_outcomes_with_reasons(result: Result) -> None:
    assert rows(outcomes(result)) == {
        "submitted": ("4",),
        "completed": ("3",),
        "rejected": ("1",),
        "prompt of 40 tokens leaves no room in max_model_len 32": ("1",),
        "preempted": ("0",),
        "replies cut to fit": ("0",),
    }


def test_turns_all_shown(result: Result) -> None:
    assert turns(result.observation, 3).rows == [
        ("0", "1", "0", "2", "0.00 %"),
        ("1", "1", "3", "4", "75.00 %"),
        ("2", "1", "4", "5", "80.00 %"),
    ]


def test_turns_beyond_the_limit_share_a_row(result: Result) -> None:
    # turns 1 and 2: 3 + 4 = 7 of 4 + 5 = 9 blocks
    assert turns(result.observation, 2).rows == [("0", "1", "0", "2", "0.00 %"), ("1..2", "2", "7", "9", "77.78 %")]


def test_reuse_of_the_run(result: Result) -> None:
    assert [row[1] for row in reuse(result.numbers.values).rows] == ["4", "3", "1.75", "2"]
    assert rows(reuse_gaps(result)) == {
        "in seconds (simulated)": ("2.0000",) * 5,
        "in requests": ("1",) * 5,
    }


def test_reuse_nothing_hit(all_rejected: Result) -> None:
    assert reuse(all_rejected.numbers.values).note == "No block was hit."
    assert reuse_gaps(all_rejected).note == "No block was hit twice."
    assert set(rows(reuse_gaps(all_rejected))["in requests"]) == {"-"}


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


def test_settings_leave_out_what_is_unset(description: RunDescription) -> None:
    shown = rows(settings(description))

    assert shown["order"] == ("sessions", "num_users=4")
    assert shown["engine"] == ("sim", "block_size=4")


def test_stages_count_zeros_only(result: Result) -> None:
    shown = stages(result.numbers.values)

    assert shown.rows == [("dataset/turns", "4")]
    assert shown.note == "1 more are 0 (metrics.json)."


def test_sections_without_rows_are_left_out(all_rejected: Result, description: RunDescription) -> None:
    titles: Sequence[str] = [section.title for section in sections(all_rejected, description, max_turns=9)]

    assert "Turns" not in titles
    assert "Requests" in titles
