"""Explains why a run has no value of a metric."""

from collections.abc import Sequence

from cachelab.explanation.numbers import Number
from cachelab.metrics.base import AnyMetric
from cachelab.pipeline import Result
from cachelab.report.section import grouped

NO_HOST_TIER = "no host tier (KV connector) is on"
_OF_HOST_TIER = ("hit_rate/vllm_cpu", "hit_rate/first_prefill_host", "hit_rate/first_prefill_all_tiers")
_OF_VLLM = ("hit_rate/vllm_gpu", "hit_rate/vllm_gpu_all_prefills")
_OF_BLOCKS = ("hit_rate/first_prefill", "hit_rate/ideal", "hit_rate/opt")


def absence_line(name: str, result: Result, metrics: Sequence[AnyMetric | Number]) -> str:
    """One line: the metric and why it is absent."""
    return f"{name} is absent: {absence_reason(name, result, metrics)}"


def absence_reason(name: str, result: Result, metrics: Sequence[AnyMetric | Number]) -> str:
    """Why the metric is absent and, if no request completed, the most frequent reason for rejection."""
    why = why_absent(name, result, metrics)
    rejected = grouped(
        record.reason or "no reason given" for record in result.run.records if record.outcome == "rejected"
    )
    if result.observation.completed or not rejected:
        return why
    reason, number = rejected[0]
    return f"{why} ({number:,} rejected: {reason})"


def why_absent(name: str, result: Result, metrics: Sequence[AnyMetric | Number] = ()) -> str:
    """The reason for this run if it is known; otherwise when the metric is absent in general, if `metrics` has it."""
    observation, counters = result.observation, result.run.counters
    if name in _OF_VLLM and not counters.of_vllm:
        return "vLLM did not run"
    if not observation.completed:
        return "no request completed"
    if name in _OF_VLLM:
        repeated = name == "hit_rate/vllm_gpu_all_prefills" and counters.preempted_queries_tokens is None
        silent = repeated or counters.queries_tokens is None
        return "the server does not say it" if silent else "vLLM counted no queries"
    if not observation.hits_known and "ideal" not in name and name.startswith(("hit_rate/", "losses/", "turn/")):
        return "the server does not say what was cached"
    if name in _OF_HOST_TIER and counters.host_queries_tokens is None:
        return NO_HOST_TIER
    if not observation.full_blocks.sum() and name.startswith((*_OF_BLOCKS, *_OF_HOST_TIER)):
        return "no prompt has a full block"
    if name == "hit_rate/of_ideal" or name.startswith("capacity/"):
        return "an unlimited cache hits nothing"
    if name.startswith("reuse_gap/"):
        return "no block was hit twice"
    absent_when = next((metric.absent_when for metric in metrics if metric.name == name), "")
    return absent_when or "it is undefined in this run, see docs/metrics.md"
