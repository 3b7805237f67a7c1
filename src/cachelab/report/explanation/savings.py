"""What undoing a cause saves: computed tokens, GPU time, money."""

from cachelab.explanation import Cause, Explanation
from cachelab.report.section import count, money, percent, points


def savings(cause: Cause, explanation: Explanation) -> str:
    """What undoing the cause alone saves, in one line; "" for a cause that is not undone, or that saves nothing alone.

    The seconds are the engine's cost model times the tokens. Money is the price of the prompts before less after.
    """
    if cause.too_long:
        are = "request is" if cause.too_long == 1 else "requests are"
        return f"not known: {count(cause.too_long)} {are} then too long for the engine, and not in the hit rate alone"
    if cause.tokens_before is None or cause.tokens_alone is None or not cause.saved_tokens:
        return ""
    if cause.saved_tokens < 0:
        return f"nothing: the prompts are longer, and {count(-cause.saved_tokens)} more of their tokens are computed"
    parts = [f"{count(cause.saved_tokens)} prompt tokens less to compute"]
    if explanation.prefill_token_s is not None:
        seconds = cause.saved_tokens * explanation.prefill_token_s
        parts.append(f"{seconds:,.3g} GPU-seconds of prefill (simulated)" if seconds < 1000 else _long(seconds))
    if explanation.price is not None:
        price = explanation.price
        before, alone = price.cost(cause.tokens_before), price.cost(cause.tokens_alone)
        if before is not None and alone is not None:
            parts.append(f"{price.currency} {money(before - alone)} (estimated)")
    return ", ".join(parts)


def other_fix(cause: Cause) -> str:
    """What the second way to fix the cause gives, in one line; "" if it has none."""
    if cause.hit_rate_other_fix is None:
        return ""
    rate, gained = percent(cause.hit_rate_other_fix.value), points(cause.points_other_fix)
    return f"hit rate {rate} ({gained} points) {cause.other_fix}"


def _long(seconds: float) -> str:
    return f"{seconds:,.0f} GPU-seconds of prefill (simulated)"
