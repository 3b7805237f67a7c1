"""The tables of an explanation: one row per cause, and one row per request."""

from collections.abc import Mapping, Sequence
from typing import Any

from cachelab.explanation.result import Explanation
from cachelab.metrics.base import Ratio

Columns = Mapping[str, Sequence[Any]]


def cause_table(explanation: Explanation) -> Columns:
    """One row per cause, in the order of the explanation. Hit rates are ratios; None: the cause is not undone."""
    causes = explanation.causes
    return {
        "class": [cause.kind for cause in causes],
        "role": [cause.role for cause in causes],
        "place": [cause.place for cause in causes],
        "before": [cause.before for cause in causes],
        "after": [cause.after for cause in causes],
        "requests": [cause.requests for cause in causes],
        "tokens": [cause.tokens for cause in causes],
        "hit_rate_before": [_value(cause.hit_rate_before) for cause in causes],
        "hit_rate_alone": [_value(cause.hit_rate_alone) for cause in causes],
        "hit_rate_cumulative": [_value(cause.hit_rate_cumulative) for cause in causes],
        "advice": [cause.advice for cause in causes],
    }


def request_table(explanation: Explanation) -> Columns:
    """One row per completed request in the order of first prefills; the columns of a break are None without one."""
    requests = explanation.requests
    found = [request.found for request in requests]

    def of_break(get: str) -> list[Any]:
        return [None if one is None else getattr(one, get) for one in found]

    def of_place(get: str) -> list[Any]:
        return [None if one is None else getattr(one.place, get) for one in found]

    return {
        "request_id": [request.id for request in requests],
        "conversation_id": [request.conversation_id for request in requests],
        "turn_index": [request.turn_index for request in requests],
        "group": [request.group for request in requests],
        "prompt_tokens": [request.prompt_tokens for request in requests],
        "reused_tokens": [request.reused_tokens for request in requests],
        "other_tokens": [request.other_tokens for request in requests],
        "behind_tokens": [request.behind_tokens for request in requests],
        "new_tokens": [request.new_tokens for request in requests],
        "class": of_break("kind"),
        "place": of_place("label"),
        "role": of_place("role"),
        "message": of_place("message"),
        "start": of_place("start"),
        "end": of_place("end"),
        "token": of_break("token"),
        "earlier": of_break("earlier"),
        "before": of_break("before"),
        "after": of_break("after"),
    }


def _value(ratio: Ratio | None) -> float | None:
    return None if ratio is None else ratio.value
