"""The replay engine with each policy: what it refuses, what its losses mean, and what only LRU knows."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachelab.build import build_part
from cachelab.composition import composed
from cachelab.engine.base import EngineRun
from cachelab.engine.policy import Arc, Fifo, Lfu, Lru, Pinned, Policy, S3Fifo, Ttl
from cachelab.engine.replay import ReplayEngine
from cachelab.errors import ConfigError
from cachelab.fleet.replicas import Replicas
from cachelab.metrics.losses import TERMS, losses_of
from cachelab.metrics.lost_tokens import evicted_by
from cachelab.metrics.observation import Observation
from cachelab.order.base import Order
from cachelab.order.by_turn import ByTurn
from cachelab.order.sessions import Sessions
from cachelab.order.timed import Timed
from cachelab.prefix_cache.accesses import lru_hit_blocks
from cachelab.request import Request, Schedule
from workloads import conversation, one_lane, random_requests, request

POLICIES: list[Policy] = [
    Lru(),
    Fifo(),
    Lfu(),
    Arc(),
    S3Fifo(),
    Ttl(ttl_s=20.0),
    Pinned(first_blocks=2),
    Pinned(conversations=["c0", "c3"]),
]
SIZES: dict[str, Any] = {"block_size": 8, "max_model_len": 400, "num_blocks": 60}
SMALL: dict[str, Any] = {"block_size": 4, "max_model_len": 40, "num_blocks": 20}


def ran(policy: Policy, schedule: Schedule, **changes: Any) -> EngineRun:
    return ReplayEngine(policy=policy, **(SIZES | changes)).run(schedule, lambda ended: None)


def observed(policy: Policy, requests: list[Request], schedule: Schedule, **changes: Any) -> Observation:
    return Observation.of(requests, ran(policy, schedule, **changes))


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
@given(seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=8)
def test_losses_sum_to_the_prompts(policy: Policy, seed: int) -> None:
    requests = random_requests(seed, 8, vocabulary=3)
    schedule = Sessions(num_users=4, think_s=7.0).arrange(requests)
    observation = observed(policy, requests, schedule)
    losses = losses_of(observation)
    terms = {term: getattr(losses, term) for term in TERMS}
    assert all((tokens >= 0).all() for tokens in terms.values())
    assert sum(terms.values()).tolist() == observation.prompt_tokens.tolist()
    assert not terms["other"].any()  # one request at a time, and the policy's own evictions
    assert policy.name == "ttl" or not terms["expired"].any()
    assert observation.counters.policy == policy.name
    if policy.name != "lru":
        assert set(evicted_by(observation)) == {None}  # who evicted is known for LRU only


def test_lru_is_the_default_and_unchanged() -> None:
    requests = random_requests(1, 20, vocabulary=3)
    schedule = ByTurn().arrange(requests)
    run = ReplayEngine(**SIZES).run(schedule, lambda ended: None)
    named = ran(Lru(), schedule)
    assert (run.records, run.counters, run.notes) == (named.records, named.counters, named.notes)
    assert run.blocks is not None
    accesses = run.blocks.accesses
    done = [record for record in run.records if record.outcome == "completed"]
    done.sort(key=lambda record: record.prefill_index or 0)
    wanted = accesses.cached_tokens(lru_hit_blocks(accesses, SIZES["num_blocks"] - 1))
    assert [record.cached_tokens for record in done] == wanted.tolist()
    assert (run.counters.policy, run.counters.lifetime_s) == ("lru", None)


def test_expired_blocks_are_a_loss_of_their_own() -> None:
    # Blocks of 4. Turns of 8, 16 and 24 tokens, think times of 5 s and 10 s. Blocks last 10 s: turn 1 hits the two
    # blocks of turn 0 and its reply (4 + 4 tokens; the reply's last token completes none), turn 2 hits nothing of 16.
    requests = conversation("a", (list(range(8)), [90]), (list(range(10, 17)), [91]), (list(range(20, 28)), [92]))
    waits = [replace(entry, think_s=seconds) for entry, seconds in zip(requests, (None, 5.0, 10.0), strict=True)]
    schedule = Sessions(num_users=1, think_s="recorded").arrange(waits)
    observation = observed(Ttl(ttl_s=10.0), waits, schedule, **SMALL)
    assert observation.cached_tokens.tolist() == [0, 8, 0]
    assert losses_of(observation).expired.tolist() == [0, 0, 16]
    assert observation.counters.lifetime_s == 10.0
    longer = observed(Ttl(ttl_s=10.1), waits, schedule, **SMALL)
    assert longer.cached_tokens.tolist() == [0, 8, 16]
    assert not losses_of(longer).expired.any()


def test_times_are_those_of_arrival() -> None:
    requests = [replace(request(name, 0, [1, 2, 3, 4, 5], [9]), arrival_s=at) for name, at in (("a", 7), ("b", 0))]
    schedule = Timed().arrange(requests)  # b runs first
    records = ran(Ttl(ttl_s=7.5), schedule, **SMALL).records
    assert [(record.request_id, record.cached_tokens) for record in records] == [("a/0", 4), ("b/0", 0)]
    assert [record.cached_tokens for record in ran(Ttl(ttl_s=7.0), schedule, **SMALL).records] == [0, 0]


def test_expiry_needs_times() -> None:
    requests = random_requests(1, 3)
    orders: list[Order] = [ByTurn(), Timed(start="uniform", rate_scale=math.inf)]
    for order in orders:
        with pytest.raises(
            ConfigError, match=r"^engine\.policy: ttl needs requests that enter .* none waits: .* order="
        ):
            ran(Ttl(), order.arrange(requests))
    assert ran(Ttl(), one_lane(requests[:1])).records  # one request needs no time


def test_pins_by_conversation_and_by_first_blocks() -> None:
    # Six usable blocks of 4. a has two full blocks, b and c have four: two blocks can be pinned. c evicts all of a.
    a, b, c = list(range(9)), list(range(50, 66)), list(range(70, 86))
    prompts = {"a": a, "b": b, "c": c, "again": a}
    requests = [request(name, 0, prompt, [9]) for name, prompt in prompts.items()]
    sizes = {"block_size": 4, "max_model_len": 20, "num_blocks": 7}

    def hits(policy: Policy) -> list[int]:
        return [record.cached_tokens for record in ran(policy, one_lane(requests), **sizes).records]

    assert hits(Lru()) == [0, 0, 0, 0]
    assert hits(Pinned(conversations=["a"])) == [0, 0, 0, 8]
    assert hits(Pinned(first_blocks=1)) == [0, 0, 0, 4]
    assert hits(Pinned(conversations=["b"], first_blocks=2)) == [0, 0, 0, 0]
    run = ran(Pinned(conversations=["a"]), one_lane(requests), **sizes)
    assert run.notes[-1] == "2 of 6 usable blocks are pinned at the end of the run; at most 2 can be."


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, r"^engine\.policy\.first_blocks: nothing says what is pinned"),
        ({"conversations": ["nobody"]}, r"^engine\.policy\.conversations: nobody is no conversation .* such as c0"),
    ],
)
def test_pins_that_mean_nothing_are_refused(arguments: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ran(Pinned(**arguments), one_lane(random_requests(1, 2)))


def test_replicas_evict_by_lru_only() -> None:
    schedule = one_lane(random_requests(1, 2))
    with pytest.raises(ConfigError, match=r"^engine\.policy: replicas evict by LRU only, not by fifo: set engine"):
        Replicas().run(ReplayEngine(policy=Fifo(), **SIZES), schedule, lambda ended: None)


@pytest.mark.parametrize(
    ("option", "policy"),
    [
        ("lru", Lru()),
        ("ttl", Ttl(300)),
        ("ttl_1h", Ttl(3600)),
        ("pinned", Pinned(first_blocks=16, max_share=0.5)),
        ("fifo", Fifo()),
        ("lfu", Lfu()),
        ("arc", Arc()),
        ("s3_fifo", S3Fifo(0.1, 0.9)),
    ],
)
def test_options_build_policies(option: str, policy: Policy) -> None:
    engine = build_part("engine", composed(["engine=replay", f"engine/policy={option}"]).config["engine"], [])
    assert engine.policy == policy


def test_wrong_setting_of_a_policy_names_its_key() -> None:
    config = composed(["engine=replay", "engine/policy=ttl", "engine.policy.ttl_s=0"]).config["engine"]
    with pytest.raises(ConfigError, match=r"^engine\.policy\.ttl_s: "):
        build_part("engine", config, [])


def test_a_policy_of_another_package() -> None:
    class Nothing:
        """Keeps nothing."""

        name = "nothing"

        def run(self, replayed: Any, num_blocks: int) -> Any:
            from cachelab.engine.policy import Kept

            return Kept(np.zeros(replayed.accesses.num_requests, np.int64))

    run = ran(Nothing(), one_lane(conversation("a", ([1] * 20, [2]), ([3] * 20, [4]))))
    assert [record.cached_tokens for record in run.records] == [0, 0]
    assert "engine/policy=nothing" in run.notes[1]
