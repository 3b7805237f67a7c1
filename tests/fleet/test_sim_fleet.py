"""Replicas of vLLM's own engine core: against separate runs, and against the replay."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachelab.engine.replay import ReplayEngine
from cachelab.engine.sim import SimEngine
from cachelab.engine.step_points import COLUMNS
from cachelab.engine.table_cost import TableCost
from cachelab.errors import ConfigError
from cachelab.fleet.base import FleetRun
from cachelab.fleet.event import FleetEvent
from cachelab.fleet.least_loaded import LeastLoaded
from cachelab.fleet.prefix_approximate import PrefixApproximate
from cachelab.fleet.prefix_aware import PrefixAware
from cachelab.fleet.random_choice import RandomChoice
from cachelab.fleet.replicas import Replicas
from cachelab.fleet.round_robin import RoundRobin
from cachelab.fleet.router import Router
from cachelab.fleet.sticky import Sticky
from cachelab.metrics.losses import TERMS, losses_of
from cachelab.metrics.observation import Observation
from cachelab.model.layer_group import LayerGroup
from cachelab.order.all_at_once import AllAtOnce
from cachelab.order.base import Order
from cachelab.order.by_conversation import ByConversation
from cachelab.order.by_turn import ByTurn
from cachelab.order.sessions import Sessions
from cachelab.order.timed import Timed
from cachelab.request import RequestRecord, Schedule
from workloads import random_requests, request

SIZES: dict[str, Any] = {"block_size": 8, "max_model_len": 256, "num_blocks": 40}
FULL_LAYERS = LayerGroup(kind="full", layers=2, heads=2, head_size=64)
OTHER_LAYERS = [
    LayerGroup(kind="window", layers=2, heads=2, head_size=64, window=32),
    LayerGroup(kind="mamba", layers=2, state_bytes=4096),
]
BLIND: list[Router] = [RoundRobin(), RandomChoice(seed=3), LeastLoaded(), Sticky(), PrefixApproximate()]
ORDERS: list[Order] = [
    AllAtOnce(),
    ByConversation(),
    ByTurn(),
    Sessions(num_users=3, think_s=0.005),
    Timed(start="poisson", rate=20.0),
]


def sim(**changes: Any) -> SimEngine:
    return SimEngine(**(SIZES | changes))


def ran(fleet: Replicas, engine: SimEngine | ReplayEngine, schedule: Schedule) -> FleetRun:
    run = fleet.run(engine, schedule, lambda ended: None)
    assert isinstance(run, FleetRun)
    return run


def by_id(records: Any) -> dict[str, RequestRecord]:
    return {record.request_id: replace(record, prefill_index=None) for record in records}


@pytest.mark.parametrize("order", ORDERS, ids=str)
@pytest.mark.parametrize("max_num_seqs", [1, 4])
def test_a_fleet_of_one_is_the_engine(order: Order, max_num_seqs: int) -> None:
    engine = sim(max_num_seqs=max_num_seqs)
    schedule = order.arrange([*random_requests(5, 10), request("long", 0, range(300), [1])])
    run, single = ran(Replicas(1), engine, schedule), engine.run(schedule, lambda ended: None)
    assert run.records == single.records
    assert run.counters == single.counters


def parts(seed: int, timed: bool, num_replicas: int) -> tuple[Schedule, list[Schedule]]:
    """Independent requests, and those of each replica under round_robin."""
    requests = [
        replace(entry, follows=None, id=f"r{n}", conversation_id=f"c{n}", turn_index=0, arrival_s=0.007 * n)
        for n, entry in enumerate(random_requests(seed, 10))
    ]
    order: Order = Timed() if timed else AllAtOnce()
    schedule = order.arrange(requests)
    apart = []
    for number in range(num_replicas):
        wanted = {entry.id for entry in requests[number::num_replicas]}
        lanes = tuple(lane for lane in schedule.stages[0] if lane[0].id in wanted)
        apart.append(Schedule((lanes,), {id: wait for id, wait in schedule.waits.items() if id in wanted}))
    return schedule, apart


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 4), st.sampled_from([1, 3]), st.booleans())
def test_round_robin_is_separate_engines_on_the_parts(
    seed: int, num_replicas: int, max_num_seqs: int, timed: bool
) -> None:
    engine = sim(max_num_seqs=max_num_seqs)
    schedule, apart = parts(seed, timed, num_replicas)
    run = ran(Replicas(num_replicas), engine, schedule)
    separate = [record for part in apart for record in engine.run(part, lambda ended: None).records]
    assert by_id(run.records) == by_id(separate)


@pytest.mark.parametrize("other", OTHER_LAYERS, ids=lambda group: group.kind)
@pytest.mark.parametrize("timed", [False, True])
def test_round_robin_of_hybrid_models_is_separate_engines_on_the_parts(other: LayerGroup, timed: bool) -> None:
    engine = sim(max_num_seqs=3, num_blocks=100, layers=[FULL_LAYERS, other], max_num_batched_tokens=256)
    schedule, apart = parts(7, timed, 2)
    run = ran(Replicas(2), engine, schedule)
    runs = [engine.run(part, lambda ended: None) for part in apart]
    assert by_id(run.records) == by_id([record for alone in runs for record in alone.records])
    assert any(record.cached_tokens for record in run.records)
    layout, alone_layout = run.counters.layout, runs[0].counters.layout
    assert layout is not None
    assert alone_layout is not None
    assert len(layout.groups) == len(alone_layout.groups) > 1
    assert layout.num_blocks == 2 * alone_layout.num_blocks
    assert run.counters.hits_tokens == sum(alone.counters.hits_tokens or 0 for alone in runs)


@pytest.mark.parametrize("router", BLIND, ids=str)
@pytest.mark.parametrize("order", ORDERS[:3], ids=str)
def test_replay_is_the_simulator_with_one_request_at_a_time(router: Router, order: Order) -> None:
    schedule = order.arrange([*random_requests(9, 10), request("long", 0, range(300), [1])])
    fleet = Replicas(3, router)
    simulated, replayed = ran(fleet, sim(max_num_seqs=1), schedule), ran(fleet, ReplayEngine(**SIZES), schedule)
    assert simulated.records == replayed.records
    assert simulated.counters == replayed.counters
    assert simulated.placement.replicas == replayed.placement.replicas
    held = simulated.placement.held_blocks, simulated.placement.duplicate_blocks
    assert held == (replayed.placement.held_blocks, replayed.placement.duplicate_blocks)


@pytest.mark.parametrize("load_weight", [0.0, 1.0])
def test_replay_looks_up_the_other_caches_as_the_simulator_does(load_weight: float) -> None:
    schedule = ByConversation().arrange(random_requests(11, 10))
    fleet = Replicas(3, PrefixAware(load_weight))
    simulated, replayed = ran(fleet, sim(max_num_seqs=1), schedule), ran(fleet, ReplayEngine(**SIZES), schedule)
    assert simulated.records == replayed.records
    assert simulated.placement == replayed.placement


@pytest.mark.parametrize("router", [RoundRobin(), PrefixAware()], ids=str)
def test_a_killed_replica_loses_its_cache_and_its_requests_run_again(router: Router) -> None:
    requests = random_requests(4, 12)
    schedule = AllAtOnce().arrange(requests)
    events = [FleetEvent(0.02, "kill", 0), FleetEvent(0.03, "add"), FleetEvent(0.06, "drain", 1)]
    for engine in (sim(max_num_seqs=4), ReplayEngine(**SIZES)):
        run = ran(Replicas(2, router, events), engine, schedule)
        assert {record.outcome for record in run.records} == {"completed"}
        assert run.placement.resent > 0
        assert run.placement.num_replicas == 3
        assert "Of the 3 replicas 2 left during the run." in run.notes
        gone = [record for record, of in zip(run.records, run.placement.replicas, strict=True) if of == 0]
        assert all((record.finished_ns or 0) <= 20_000_000 for record in gone)
        late = [record.request_id for record in run.records if (record.submitted_ns or 0) > 60_000_000]
        assert late
        assert {of for id, of in zip(by_id(run.records), run.placement.replicas, strict=True) if id in late} == {2}
        losses = losses_of(Observation.of(requests, run))
        assert sum(int(getattr(losses, term).sum()) for term in TERMS) == sum(len(r.prompt_ids) for r in requests)


def test_requests_that_are_sent_again_keep_their_order_under_priorities() -> None:
    """Of requests with equal priority, vLLM runs the one that was submitted first, whatever its id."""
    requests = [request(name, 0, range(40), [1] * 9) for name in ("z", "b", "y", "c", "x", "d")]
    schedule = AllAtOnce().arrange(requests)
    fleet = Replicas(2, RoundRobin(), [FleetEvent(0.001, "kill", 0)])
    records = {
        policy: ran(fleet, sim(max_num_seqs=1, args={"scheduling_policy": policy}), schedule).records
        for policy in ("fcfs", "priority")
    }
    assert records["priority"] == records["fcfs"]
    first = sorted(records["fcfs"], key=lambda record: record.prefill_index or 0)
    assert [record.conversation_id for record in first] == ["b", "c", "d", "z", "y", "x"]


def test_two_replicas_by_hand() -> None:
    """A step takes 8 ms, 40 us per prefill token and 100 us per decoding sequence. Blocks of 8 tokens.

    x, y and z are sent at 0: x to replica 0, y to replica 1, z to replica 0 behind x. x and y have 17 tokens and a
    reply of 1: 8 + 17 * 0.04 = 8.68 ms. z has the tokens of y. Replica 0 runs it from 8.68 ms on: nothing is cached
    there, and at the start nothing was cached on replica 1 either. w enters when x has ended, on replica 1: it also
    has the tokens of y, and 16 of 17 are cached: 8 + 0.04 = 8.04 ms.
    """
    x, y, z, w = range(17), range(50, 67), range(50, 67), range(50, 67)
    requests = [request("x", 0, x, [1]), request("y", 0, y, [1]), request("z", 0, z, [1])]
    follow = request("x", 1, w, [1])
    schedule = Schedule((((requests[0], follow), (requests[1],), (requests[2],)),))
    for engine in (sim(max_num_seqs=1), ReplayEngine(**SIZES)):
        run = ran(Replicas(2), engine, schedule)
        records = by_id(run.records)
        assert {id: record.finished_ns for id, record in records.items()} == {
            "x/0": 8_680_000,
            "y/0": 8_680_000,
            "z/0": 17_360_000,
            "x/1": 16_720_000,
        }
        assert {id: record.cached_tokens for id, record in records.items()} == {"x/0": 0, "y/0": 0, "z/0": 0, "x/1": 16}
        assert run.placement.replicas == (0, 1, 1, 0)
        assert run.placement.elsewhere_tokens == (0, 0, 0, 0)
        assert (run.placement.held_blocks, run.placement.duplicate_blocks) == (4, 2)


def test_a_replica_that_was_to_be_added_after_the_end_is_no_replica() -> None:
    schedule = AllAtOnce().arrange(random_requests(4, 6))
    for engine in (sim(max_num_seqs=4), ReplayEngine(**SIZES)):
        run = ran(Replicas(2, PrefixAware(), [FleetEvent(1e6, "add")]), engine, schedule)
        without = ran(Replicas(2, PrefixAware()), engine, schedule)
        assert (run.records, run.counters, run.placement) == (without.records, without.counters, without.placement)
        assert run.notes[:-1] == without.notes
        assert "before these events of the fleet: add at 1e+06 s" in run.notes[-1]


@pytest.mark.parametrize(
    ("events", "wrong"),
    [
        ([FleetEvent(1.0, "kill", 7)], r"fleet.events: kill at 1 s: there is no replica 7 then"),
        ([FleetEvent(1.0, "drain", 0), FleetEvent(2.0, "drain", 0)], r"drain at 2 s: there is no replica 0 then"),
        ([FleetEvent(1.0, "kill", 0), FleetEvent(2.0, "kill", 1)], r"kill at 2 s: no replica is left"),
        ([FleetEvent(1.0, "drain")], r"drain at 1 s: no replica is named"),
        ([FleetEvent(1.0, "add", 2)], r"add at 1 s: a new replica gets the next number"),
    ],
)
def test_events_that_cannot_happen_are_refused(events: list[FleetEvent], wrong: str) -> None:
    with pytest.raises(ConfigError, match=wrong):
        Replicas(2, events=events)


def test_steps_outside_of_a_cost_table_are_counted_on_all_replicas(tmp_path: Path) -> None:
    corners = [(prefill, decodes, context) for prefill in (0, 1) for decodes in (0, 1) for context in (0, 1)]
    rows = [",".join(COLUMNS), *(f"{p},{d},{c},{0.01 + 0.001 * p + 0.001 * d + 0.001 * c}" for p, d, c in corners)]
    path = tmp_path / "steps.csv"
    path.write_text("\n".join(rows) + "\n")
    engine = sim(max_num_seqs=4, cost=TableCost(str(path)))
    run = ran(Replicas(3), engine, AllAtOnce().arrange(random_requests(4, 6)))
    note = next(note for note in run.notes if note.startswith("Simulated seconds are interpolated"))
    assert f"of {run.counters.steps:,} steps (" in note


def test_settings_that_replicas_cannot_have_are_refused() -> None:
    schedule = ByConversation().arrange(random_requests(4, 2))
    with pytest.raises(ConfigError, match=r"engine\.sim_at"):
        ran(Replicas(2), ReplayEngine(**SIZES, sim_at=[50]), schedule)
    with pytest.raises(ConfigError, match=r"fleet\.events: after a kill"):
        ran(Replicas(2, events=[FleetEvent(1.0, "kill", 0)]), sim(history="generated"), schedule)
