"""The simulator against vLLM with a real model: every request finds the same blocks."""

from dataclasses import replace

import pytest

from cachelab.engine.agreement import AgreementEngine, as_run
from cachelab.engine.base import EngineRun
from cachelab.engine.history import HistoryName
from cachelab.engine.vllm.backends import CpuEngine
from cachelab.errors import ConfigError
from cachelab.metrics.agreement import Mismatch, mismatches
from cachelab.metrics.observation import Observation
from cachelab.order.by_turn import ByTurn
from cachelab.request import Schedule
from workloads import random_requests

# 16 chats whose blocks of 32 tokens fill a cache of some 40: from 0.4 to 3 times that
REQUESTS = random_requests(11, 16, max_turns=4, max_message=100, max_reply=10, vocabulary=1000)
CAPACITIES = [17, 21, 31, 121]


def agreement(num_blocks: int, history: HistoryName = "recorded", max_num_seqs: int = 1) -> AgreementEngine:
    real = CpuEngine(max_model_len=512, max_num_seqs=max_num_seqs, num_blocks=num_blocks, history=history)
    return AgreementEngine(real=real)


def observed(engine: AgreementEngine, schedule: Schedule) -> Observation:
    return Observation.of(list(schedule), engine.run(schedule, lambda ended: None))


@pytest.mark.parametrize("history", ["recorded", "generated"])
@pytest.mark.parametrize("num_blocks", CAPACITIES)
def test_simulator_agrees_with_a_model_on_every_request(num_blocks: int, history: HistoryName) -> None:
    observation = observed(agreement(num_blocks, history), ByTurn().arrange(REQUESTS))
    assert len(observation.completed) == len(REQUESTS)
    assert mismatches(observation) == []


def test_simulator_agreement_is_tested_where_blocks_are_evicted() -> None:
    # by_turn comes back to a conversation after all others: the small caches of the test above have lost it by then
    schedule = ByTurn().arrange(REQUESTS)
    runs = [agreement(40).simulator(num_blocks).run(schedule, lambda ended: None) for num_blocks in CAPACITIES]
    assert [run.counters.hits_tokens for run in runs] == [32, 224, 1024, 1664]


@pytest.mark.parametrize("max_num_seqs", [4, 8])
def test_simulator_agrees_with_a_model_that_runs_many_at_once(max_num_seqs: int) -> None:
    observation = observed(agreement(31, max_num_seqs=max_num_seqs), ByTurn().arrange(REQUESTS))
    assert mismatches(observation) == []


@pytest.mark.slow
@pytest.mark.parametrize("max_num_seqs", [1, 4])
@pytest.mark.parametrize(("model", "kind", "window"), [("tiny_window", "window", 96), ("tiny_state", "mamba", None)])
def test_simulator_agrees_with_a_model_of_several_groups(
    model: str, kind: str, window: int | None, max_num_seqs: int
) -> None:
    # 2 layers of full attention and 4 of another kind: three groups, which 61 blocks do not hold for all
    engine = agreement(61, max_num_seqs=max_num_seqs)
    engine = replace(engine, real=replace(engine.real, model=model))
    observation = observed(engine, ByTurn().arrange(REQUESTS))
    layout = observation.counters.layout
    assert layout is not None
    assert [(group.kind, group.layers, group.window) for group in layout.groups] == [
        (kind, 2, window),
        (kind, 2, window),
        ("full", 2, None),
    ]
    assert len(observation.completed) == len(REQUESTS)
    assert (
        0
        < observation.cached_tokens.sum()
        < agreement(121).simulator(1001).run(ByTurn().arrange(REQUESTS), lambda ended: None).counters.hits_tokens
    )
    assert mismatches(observation) == []


def test_differences_name_the_requests_in_the_order_of_first_prefills() -> None:
    observation = observed(agreement(61), ByTurn().arrange(REQUESTS[:4]))
    first, second, *others = observation.completed
    wrong = {first.request_id: 320, second.request_id: None}
    references = [
        replace(record, cached_tokens=wrong.get(record.request_id) or record.cached_tokens)
        for record in (first, *others)
    ]
    assert mismatches(replace(observation, reference_records=references)) == [
        Mismatch(first.request_id, 0, 320),
        Mismatch(second.request_id, second.cached_tokens, None),
    ]


def test_as_run_leaves_out_what_did_not_complete() -> None:
    schedule = ByTurn().arrange(REQUESTS[:5])
    run = agreement(61).run(schedule, lambda ended: None)
    lost = replace(run.records[0], outcome="rejected")
    kept = as_run(schedule, EngineRun([lost, *run.records[1:]], run.counters, run.requests))
    assert [entry.id for entry in kept] == [record.request_id for record in run.records[1:]]
    assert [len(entry.reply_ids) for entry in kept] == [record.reply_tokens for record in run.records[1:]]


def test_agreement_with_a_host_tier_is_refused() -> None:
    from cachelab.engine.vllm.backends import CudaEngine

    with pytest.raises(ConfigError, match=r"engine\.real\.host_cache_gib"):
        AgreementEngine(real=CudaEngine(host_cache_gib=1.0))
