"""The tables of hits."""

from dataclasses import replace

from cachelab.metrics.base import Numbers
from cachelab.pipeline import Result
from cachelab.report.hit_sections import hit_rates
from section_rows import rows


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
