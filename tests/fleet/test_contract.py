"""What every router must do, whatever it knows."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachelab.engine.replay import ReplayEngine
from cachelab.fleet.base import FleetRun
from cachelab.fleet.event import FleetEvent
from cachelab.fleet.least_loaded import LeastLoaded
from cachelab.fleet.prefix_approximate import PrefixApproximate
from cachelab.fleet.prefix_aware import PrefixAware
from cachelab.fleet.random_choice import RandomChoice
from cachelab.fleet.replicas import Replicas
from cachelab.fleet.round_robin import RoundRobin
from cachelab.fleet.router import Choose, Router, View
from cachelab.fleet.sticky import Sticky
from cachelab.metrics.losses import TERMS, losses_of
from cachelab.metrics.observation import Observation
from cachelab.order.all_at_once import AllAtOnce
from cachelab.order.base import Order
from cachelab.order.by_conversation import ByConversation
from cachelab.order.by_turn import ByTurn
from cachelab.order.sessions import Sessions
from cachelab.request import Request, RequestRecord, Schedule
from workloads import random_requests, request

ROUTERS: list[Router] = [
    RoundRobin(),
    RandomChoice(seed=3),
    LeastLoaded(),
    Sticky(),
    PrefixAware(),
    PrefixAware(load_weight=0.0),
    PrefixApproximate(),
    PrefixApproximate(max_tokens=40, ttl_s=0.05, load_weight=0.5),
]
ORDERS: list[Order] = [AllAtOnce(), ByConversation(), ByTurn(), Sessions(num_users=3)]
EVENTS: list[FleetEvent] = [
    FleetEvent(0.03, "add"),
    FleetEvent(0.05, "kill", 0),
    FleetEvent(0.2, "drain", 1),
]
SIZES: dict[str, Any] = {"block_size": 8, "max_model_len": 256, "num_blocks": 40}


def ran(fleet: Replicas, schedule: Schedule, **changes: Any) -> FleetRun:
    run = fleet.run(ReplayEngine(**(SIZES | changes)), schedule, lambda ended: None)
    assert isinstance(run, FleetRun)
    return run


def times(record: RequestRecord) -> list[int]:
    found = (record.submitted_ns, record.first_scheduled_ns, record.first_token_ns, record.finished_ns)
    return [time for time in found if time is not None]


class Recording:
    """A router that notes what it was asked."""

    def __init__(self, router: Router) -> None:
        self.router = router
        self.asked: list[tuple[str, int]] = []

    def begin(self) -> Choose:
        choose = self.router.begin()

        def recorded(request: Request, view: View) -> int:
            chosen = choose(request, view)
            assert chosen in view.open
            self.asked.append((request.id, chosen))
            return chosen

        return recorded


@pytest.mark.parametrize("router", ROUTERS, ids=str)
@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 5), st.sampled_from(ORDERS), st.booleans())
def test_router(router: Router, seed: int, num_replicas: int, order: Order, elastic: bool) -> None:
    requests = [*random_requests(seed, 8), request("long", 0, range(300), [1])]
    schedule = order.arrange(requests)
    events = EVENTS if elastic and num_replicas > 1 else []
    recording = Recording(router)
    run = ran(Replicas(num_replicas, recording, events), schedule)

    # every request is routed once, or once more for each time that it was sent again
    assert [record.request_id for record in run.records] == [entry.id for entry in schedule]
    completed = [record for record in run.records if record.outcome == "completed"]
    assert len(recording.asked) == len(completed) + run.placement.resent
    assert {id for id, _ in recording.asked} == {record.request_id for record in completed}
    last = dict(recording.asked)
    assert run.placement.replicas == tuple(last.get(record.request_id, -1) for record in run.records)

    # no turn before the one that it follows
    by_id = {record.request_id: record for record in run.records}
    for entry in schedule:
        if entry.follows is not None and {by_id[id].outcome for id in (entry.id, entry.follows)} == {"completed"}:
            assert times(by_id[entry.id])[0] >= times(by_id[entry.follows])[-1]
    assert all(times(record) == sorted(times(record)) for record in completed)
    assert sorted(record.prefill_index or 0 for record in completed) == list(range(len(completed)))

    # deterministic
    again = ran(Replicas(num_replicas, router, events), schedule)
    assert (again.records, again.placement, again.counters) == (run.records, run.placement, run.counters)

    # the terms sum to the prompts
    observation = Observation.of(requests, run)
    losses = losses_of(observation)
    terms = [getattr(losses, term) for term in TERMS]
    assert (sum(terms) == observation.prompt_tokens).all()
    assert all((term >= 0).all() for term in terms)


@pytest.mark.parametrize("router", ROUTERS, ids=str)
@pytest.mark.parametrize("order", ORDERS, ids=str)
@pytest.mark.parametrize("num_blocks", [40, 400])
def test_a_fleet_of_one_is_the_engine(router: Router, order: Order, num_blocks: int) -> None:
    schedule = order.arrange([*random_requests(5, 12), request("long", 0, range(300), [1])])
    run = ran(Replicas(1, router), schedule, num_blocks=num_blocks)
    single = ReplayEngine(**(SIZES | {"num_blocks": num_blocks})).run(schedule, lambda ended: None)
    assert run.records == single.records
    assert run.counters == single.counters


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 5), st.integers(20, 80))
def test_round_robin_is_separate_engines_on_the_parts(seed: int, num_replicas: int, num_blocks: int) -> None:
    requests = [replace(entry, follows=None) for entry in random_requests(seed, 12)]
    run = ran(Replicas(num_replicas), AllAtOnce().arrange(requests), num_blocks=num_blocks, max_model_len=None)
    parts = [list(AllAtOnce().arrange(requests))[number::num_replicas] for number in range(num_replicas)]
    longest = max(len(entry.prompt_ids) + len(entry.reply_ids) for entry in requests)
    engine = ReplayEngine(**(SIZES | {"num_blocks": num_blocks, "max_model_len": min(longest, 8 * (num_blocks - 1))}))
    apart = {
        record.request_id: replace(record, prefill_index=None)
        for part in parts
        for record in engine.run(AllAtOnce().arrange(part), lambda ended: None).records
    }
    if all(record.outcome == "completed" for record in run.records):  # a rejected request takes no turn of the router
        assert {record.request_id: replace(record, prefill_index=None) for record in run.records} == apart


def cached(run: FleetRun) -> Sequence[int]:
    return [record.cached_tokens for record in run.records]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(ROUTERS), st.integers(1, 4))
def test_unlimited_caches_hold_the_ideal_here_or_elsewhere(seed: int, router: Router, num_replicas: int) -> None:
    """One request at a time: what an unlimited cache hits is in this replica's cache or in another one's."""
    requests = random_requests(seed, 10)
    run = ran(Replicas(num_replicas, router), ByConversation().arrange(requests), num_blocks=5000)
    observation = Observation.of(requests, run)
    losses = losses_of(observation)
    ideal = observation.accesses.ideal_hit_blocks() * 8
    assert (losses.reused + losses.routing == ideal).all()
