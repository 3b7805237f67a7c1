"""Latencies of the requests, on the engine's clock."""

from collections.abc import Sequence

import numpy as np

from cachelab.metrics.distribution import Sample, distribution
from cachelab.metrics.hits import Int64s
from cachelab.metrics.observation import Observation
from cachelab.request import RequestRecord

_STATISTICS = ("mean", "p50", "p95")


def ttft_s(observation: Observation) -> Sample:
    """Time to first token (TTFT) of each completed request, in seconds. Shape: (num_completed,)."""
    return (_ns(observation, "first_token_ns") - _ns(observation, "submitted_ns")) / 1e9


def e2e_s(observation: Observation) -> Sample:
    """Time from submission to the last token of each completed request, in seconds. Shape: (num_completed,)."""
    return (_ns(observation, "finished_ns") - _ns(observation, "submitted_ns")) / 1e9


def tpot_s(observation: Observation) -> Sample:
    """Seconds per output token after the first, of each completed request with at least two. Shape: (num_such,)."""
    steps = np.asarray([record.reply_tokens - 1 for record in observation.completed], dtype=np.int64)
    decode_ns = _ns(observation, "finished_ns") - _ns(observation, "first_token_ns")
    return decode_ns[steps > 0] / steps[steps > 0] / 1e9


def latency_columns(records: Sequence[RequestRecord]) -> dict[str, list[float | None]]:
    """`ttft_s`, `e2e_s` and `tpot_s` of each record, as above; None where undefined."""
    columns: dict[str, list[float | None]] = {"ttft_s": [], "e2e_s": [], "tpot_s": []}
    for record in records:
        submitted, first, finished = record.submitted_ns, record.first_token_ns, record.finished_ns
        if submitted is None or first is None or finished is None:
            values: tuple[float | None, ...] = (None, None, None)
        else:
            steps = record.reply_tokens - 1
            tpot = (finished - first) / steps / 1e9 if steps > 0 else None
            values = ((first - submitted) / 1e9, (finished - submitted) / 1e9, tpot)
        for column, value in zip(columns.values(), values, strict=True):
            column.append(value)
    return columns


def _ns(observation: Observation, field: str) -> Int64s:
    return np.asarray([getattr(record, field) for record in observation.completed], dtype=np.int64)


METRICS = (
    *distribution(
        "latency/ttft_{}_s",
        "s",
        "time from a completed request's submission to its first token",
        ttft_s,
        _STATISTICS,
        "no request completed",
    ),
    *distribution(
        "latency/e2e_{}_s",
        "s",
        "time from a completed request's submission to its last token",
        e2e_s,
        _STATISTICS,
        "no request completed",
    ),
    *distribution(
        "latency/tpot_{}_s",
        "s",
        "time per output token after the first, of the completed requests with at least two",
        tpot_s,
        _STATISTICS,
        "no reply has two tokens",
    ),
)
