"""Tokens per second, on the engine's clock."""

from cachelab.metrics.base import Metric, Ratio
from cachelab.metrics.observation import Observation


def duration_s(observation: Observation) -> float:
    """Seconds from the first submission to the last finish of the completed requests; 0 if there are none."""
    starts = [record.submitted_ns for record in observation.completed if record.submitted_ns is not None]
    ends = [record.finished_ns for record in observation.completed if record.finished_ns is not None]
    return (max(ends, default=0) - min(starts, default=0)) / 1e9


def _prompt_tokens_per_s(observation: Observation) -> float | None:
    return Ratio(int(observation.prompt_tokens.sum()), duration_s(observation)).value


def _output_tokens_per_s(observation: Observation) -> float | None:
    return Ratio(sum(record.reply_tokens for record in observation.completed), duration_s(observation)).value


_NO_TIME = "no request completed, or the run took no time"

METRICS = (
    Metric(
        "throughput/prompt_tokens_per_s",
        "tokens/s",
        "Prompt tokens of the completed requests, cached ones included, / time from first submission to last finish.",
        _prompt_tokens_per_s,
        _NO_TIME,
    ),
    Metric(
        "throughput/output_tokens_per_s",
        "tokens/s",
        "Reply tokens of the completed requests / time from first submission to last finish.",
        _output_tokens_per_s,
        _NO_TIME,
    ),
)
