"""What undoing a cause saves, worked by hand."""

from dataclasses import replace

from cachelab.explanation import Explanation
from cachelab.price import PerToken, PromptTokens
from cachelab.report.explanation import explanation_text
from cachelab.report.explanation.savings import savings

BEFORE = PromptTokens(fresh=1000, cached=400_000, written=2_000_000)
ALONE = PromptTokens(fresh=1000, cached=2_000_000, written=400_000)


def test_savings_are_tokens_seconds_and_money(explained: Explanation) -> None:
    cause = replace(explained.causes[0], tokens_before=BEFORE, tokens_alone=ALONE)
    assert savings(cause, explained) == "1,600,000 prompt tokens less to compute"
    timed = replace(explained, prefill_token_s=0.00004)  # 1.6 million * 40 microseconds
    assert savings(cause, timed) == "1,600,000 prompt tokens less to compute, 64 GPU-seconds of prefill (simulated)"
    # 1.6 million tokens were written for 3.75, and are now read for 0.3 per million: 1.6 * 3.45 = 5.52
    priced = replace(explained, price=PerToken(fresh=3, cached=0.3, written=3.75))
    assert savings(cause, priced) == "1,600,000 prompt tokens less to compute, USD 5.52 (estimated)"
    text = " ".join(explanation_text(replace(priced, causes=[cause])).split())
    assert "saves 1,600,000 prompt tokens less to compute, USD 5.52 (estimated)" in text


def test_cause_that_is_not_undone_saves_nothing(explained: Explanation) -> None:
    assert savings(explained.causes[2], explained) == ""
