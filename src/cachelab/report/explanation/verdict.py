"""The result of an explanation in one line."""

from collections.abc import Sequence

from cachelab.explanation import CLASSES, Cause, Explanation
from cachelab.report.section import percent

_SMALLEST = 0.005  # points: less is shown as 0.00


def verdict(explanation: Explanation) -> str:
    """One line: the hit rate, what the largest cause costs, and the hit rate with all causes undone."""
    found = f"hit rate {percent(explanation.hit_rate.value)}"
    first = largest(explanation.causes)
    if first is None:
        return f"{found}; {_why_none(explanation)}"
    assert first.hit_rate_alone is not None
    points, without = first.points_alone or 0.0, percent(first.hit_rate_alone.value)
    line = f"{found}; {name(first)} costs {points:.2f} points: without it {without}"
    others = sum(cause.hit_rate_alone is not None for cause in explanation.causes) - 1
    if others and explanation.hit_rate_all_fixed is not None:
        line += f"; without all {others + 1} causes {percent(explanation.hit_rate_all_fixed.value)}"
    return line


def largest(causes: Sequence[Cause]) -> Cause | None:
    """The cause whose undoing alone gives most points; None if none gives any."""
    gaining = [cause for cause in causes if (cause.points_alone or 0.0) >= _SMALLEST]
    return max(gaining, key=lambda cause: cause.points_alone or 0.0, default=None)


def name(cause: Cause) -> str:
    """The cause in words, with its article: "a date or time (system message)"."""
    title = CLASSES[cause.kind].title
    return f"{'an' if title[0] in 'aeiou' else 'a'} {title} ({cause.place})"


def _why_none(explanation: Explanation) -> str:
    if not explanation.causes:
        return "no prompt leaves an earlier one before its end"
    if all(cause.hit_rate_alone is None for cause in explanation.causes):
        return "no break has a cause that can be undone"
    return "undoing the causes of the breaks gives no points"
