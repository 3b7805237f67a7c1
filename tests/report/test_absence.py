"""The reason why a run has no value of a metric."""

from dataclasses import replace

import pytest

from cachelab.pipeline import Result
from cachelab.report.absence import why_absent


@pytest.mark.parametrize(
    ("name", "queries", "repeated", "why"),
    [
        ("hit_rate/vllm_gpu", None, None, "the server does not say it"),
        ("hit_rate/vllm_gpu", 0, 0, "vLLM counted no queries"),
        ("hit_rate/vllm_gpu_all_prefills", 45, None, "the server does not say it"),
        ("hit_rate/vllm_gpu_all_prefills", 0, 0, "vLLM counted no queries"),
    ],
)
def test_counters_that_a_server_does_not_have(
    result: Result, name: str, queries: int | None, repeated: int | None, why: str
) -> None:
    counters = replace(result.run.counters, queries_tokens=queries, preempted_queries_tokens=repeated)
    assert why_absent(name, replace(result, run=replace(result.run, counters=counters))) == why
