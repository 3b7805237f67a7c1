"""The lines at the head of every report."""

from cachelab.pipeline import Result
from cachelab.report.headline import context, headline


def test_headline_numerator_and_denominator(result: Result) -> None:
    # 7 / 11 = 0.63636
    assert headline(result) == "first-prefill block hit rate 63.64 % (7 of 11 full prompt blocks)"
    assert context(result) == "3 of 4 requests completed; an unlimited cache would hit 63.64 %"


def test_headline_nothing_completed(all_rejected: Result) -> None:
    assert headline(all_rejected) == "first-prefill block hit rate - (no completed request has a full block)"
    assert context(all_rejected) == "0 of 1 requests completed"
