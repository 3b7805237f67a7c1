"""A production trace on several replicas, against independent counts."""

from pathlib import Path

import pytest

from cachelab.dataset.block_trace import BlockTrace
from cachelab.engine.replay import ReplayEngine
from cachelab.fleet.base import FleetRun
from cachelab.fleet.prefix_aware import PrefixAware
from cachelab.fleet.replicas import Replicas
from cachelab.fleet.round_robin import RoundRobin
from cachelab.fleet.router import Router
from cachelab.order.by_arrival import ByArrival
from cachelab.request import Schedule
from cachelab.tokenizer.cached_tokenizer import CachedTokenizer
from cachelab.tokenizer.mistral import Mistral
from cachelab.trace.multi_turn import MultiTurn

UNLIMITED = 1_000_000


@pytest.fixture(scope="module")
def schedule(mooncake: Path) -> Schedule:
    conversations = CachedTokenizer(Mistral())(BlockTrace(path=str(mooncake), block_size=512).load())
    return ByArrival().arrange(MultiTurn().build(conversations).requests)


def ran(schedule: Schedule, engine: ReplayEngine, num_replicas: int, router: Router) -> FleetRun:
    run = Replicas(num_replicas, router).run(engine, schedule, lambda ended: None)
    assert isinstance(run, FleetRun)
    return run


@pytest.mark.parametrize(("num_replicas", "hit_blocks"), [(1, 105_710), (2, 78_076), (4, 55_323), (8, 39_315)])
def test_round_robin_by_the_rules_of_traces(schedule: Schedule, num_replicas: int, hit_blocks: int) -> None:
    """Counted by a script of its own, from the block numbers of the trace alone: 288,500 blocks."""
    run = ran(schedule, ReplayEngine(num_blocks=UNLIMITED), num_replicas, RoundRobin())
    assert sum(-(-record.cached_tokens // 512) for record in run.records) == hit_blocks


def test_prefix_aware_without_load_sends_all_to_one_replica(schedule: Schedule) -> None:
    """All prompts share their first block, so one replica gets them all and hits what one engine hits."""
    run = ran(schedule, ReplayEngine(num_blocks=UNLIMITED), 8, PrefixAware(load_weight=0.0))
    assert sum(-(-record.cached_tokens // 512) for record in run.records) == 105_710
    assert set(run.placement.replicas) == {0}


@pytest.mark.parametrize(
    ("num_replicas", "limited", "unlimited"),
    [
        (1, 19_644_928, 54_063_104),
        (2, 20_755_968, 39_945_216),
        (4, 18_852_352, 28_308_480),
        (8, 16_646_144, 20_120_064),
    ],
)
def test_round_robin_by_the_rules_of_vllm(schedule: Schedule, num_replicas: int, limited: int, unlimited: int) -> None:
    """Cached tokens of Dynamo 1.6.1's replay (ai-dynamo-runtime), one request at a time."""
    for num_blocks, cached_tokens in ((5638, limited), (UNLIMITED, unlimited)):
        engine = ReplayEngine(block_size=512, num_blocks=num_blocks, max_model_len=None, rules="vllm")
        run = ran(schedule, engine, num_replicas, RoundRobin())
        assert sum(record.cached_tokens for record in run.records) == cached_tokens
