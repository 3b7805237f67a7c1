"""The simulator in time: requests enter at their times and after think times."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachelab.engine.base import EngineRun
from cachelab.engine.replay import ARRIVAL_NOTE, ReplayEngine
from cachelab.engine.sim import SimEngine
from cachelab.engine.step_cost import StepCost
from cachelab.errors import ConfigError
from cachelab.order.by_arrival import ByArrival
from cachelab.order.timed import Timed
from cachelab.request import Request, RequestRecord, Schedule, Wait
from workloads import conversation, one_lane, random_requests, request

NS = 1e-9
TIMES = ("submitted_ns", "first_scheduled_ns", "first_token_ns", "finished_ns")
SIZES: dict[str, Any] = {"block_size": 8, "max_model_len": 256, "num_blocks": 60}


def sim(**changes: Any) -> SimEngine:
    return SimEngine(**(SIZES | changes))


def by_id(run: EngineRun) -> dict[str, RequestRecord]:
    return {record.request_id: record for record in run.records}


def ran(engine: SimEngine | ReplayEngine, schedule: Schedule) -> EngineRun:
    return engine.run(schedule, lambda ended: None)


def latencies(record: RequestRecord) -> RequestRecord:
    """The record with its times counted from its submission."""
    start = record.submitted_ns or 0
    times: dict[str, Any] = {name: getattr(record, name) - start for name in TIMES}
    return replace(record, **times)


def test_two_sessions_by_hand() -> None:
    """docs/time.md works this example. A step takes 10 ns, 1 ns per prefill token and 2 ns per decoding sequence.

    a/0 enters at 0. Step 0-16: its 6 tokens (10 + 6). Step 16-28: its second token (10 + 2). b/0 enters at 20, in that
    step. Step 28-44: the third token of a/0, which ends, and the 4 tokens of b/0 (10 + 4 + 2). a/1 enters 5 ns later,
    at 49. Step 44-56: the second token of b/0, which ends (10 + 2). Step 56-69: a/1 has 11 tokens, 8 of them cached
    (10 + 3). b/1 could enter at 56 + 10, but its own time is 200. Step 200-214: it has 8 tokens, 4 cached (10 + 4).
    """
    a = conversation("a", (range(6), [50, 51, 52]), ([60, 61], [62]))
    b = conversation("b", (range(20, 24), [70, 71]), ([80, 81], [82]))
    requests = [
        replace(a[0], arrival_s=0.0),
        replace(a[1], think_s=5 * NS),
        replace(b[0], arrival_s=20 * NS),
        replace(b[1], arrival_s=200 * NS, think_s=10 * NS),
    ]
    cost = StepCost(step_s=10 * NS, prefill_token_s=1 * NS, decode_sequence_s=2 * NS)
    run = ran(sim(block_size=4, max_model_len=64, max_num_seqs=2, cost=cost), Timed().arrange(requests))
    times = {id: tuple(getattr(record, name) for name in TIMES) for id, record in by_id(run).items()}
    assert times == {
        "a/0": (0, 0, 16, 44),
        "a/1": (49, 56, 69, 69),
        "b/0": (20, 28, 44, 56),
        "b/1": (200, 200, 214, 214),
    }
    assert {id: record.cached_tokens for id, record in by_id(run).items()} == {"a/0": 0, "a/1": 8, "b/0": 0, "b/1": 4}
    assert [by_id(run)[id].prefill_index for id in ("a/0", "b/0", "a/1", "b/1")] == [0, 1, 2, 3]
    assert run.counters.steps == 6


def spread(requests: Sequence[Request], seconds: float) -> list[Request]:
    """The requests with recorded times this far apart: all first turns, then all second turns, and so on."""
    in_order = sorted(requests, key=lambda entry: entry.turn_index)
    return [
        replace(entry, timestamp_s=place * seconds, arrival_s=place * seconds) for place, entry in enumerate(in_order)
    ]


@given(seed=st.integers(0, 10**6), seqs=st.sampled_from([1, 4]))
@settings(max_examples=12, deadline=None)
def test_timed_at_a_low_rate_is_one_request_at_a_time(seed: int, seqs: int) -> None:
    requests = spread(random_requests(seed, 5), 1e6)  # no request takes 1e6 s
    timed = ran(sim(max_num_seqs=seqs), Timed().arrange(requests))
    alone = ran(sim(max_num_seqs=1), ByArrival().arrange(requests))
    assert {id: latencies(record) for id, record in by_id(timed).items()} == {
        id: latencies(record) for id, record in by_id(alone).items()
    }
    assert [by_id(timed)[entry.id].submitted_ns for entry in requests] == [
        round(1e15) * place for place in range(len(requests))
    ]
    assert replace(timed.counters, steps=0) == replace(alone.counters, steps=0)


@given(seed=st.integers(0, 10**6), rate=st.sampled_from([0.5, 5.0, 1e6]), think=st.sampled_from([0.0, 0.05, 3.0]))
@settings(max_examples=15, deadline=None)
def test_timed_requests_enter_at_their_times_or_after_the_think_time(seed: int, rate: float, think: float) -> None:
    requests = random_requests(seed, 6)
    schedule = Timed(start="poisson", rate=rate, seed=seed, think_s=think).arrange(requests)
    run = ran(sim(max_num_seqs=3), schedule)
    records = by_id(run)
    for entry in requests:
        wait = schedule.waits.get(entry.id, Wait())
        ended_ns = 0 if entry.follows is None else records[entry.follows].finished_ns
        assert ended_ns is not None
        assert records[entry.id].submitted_ns == max(wait.at_ns, ended_ns + wait.think_ns)
        assert list(map(records[entry.id].__getattribute__, TIMES)) == sorted(
            map(records[entry.id].__getattribute__, TIMES)
        )
    assert run.counters.hits_tokens == sum(record.cached_tokens for record in run.records)


@given(seed=st.integers(0, 10**6))
@settings(max_examples=8, deadline=None)
def test_timed_run_emits_replies_in_one_jump_as_token_by_token(seed: int) -> None:
    schedule = Timed(start="poisson", rate=2.0, seed=seed, think_s=0.1).arrange(random_requests(seed, 6))
    jump, token = (ran(sim(max_num_seqs=1, decode=decode), schedule) for decode in ("jump", "token"))
    assert jump.records == token.records


def test_request_after_a_rejected_one_waits_from_the_time_of_the_rejection() -> None:
    a, b, c = (request(name, 0, tokens, [1]) for name, tokens in (("a", [1]), ("b", range(300)), ("c", [2])))
    schedule = Schedule(one_lane([a, b, c]).stages, {"b/0": Wait(at_ns=10**12), "c/0": Wait(think_ns=7)})
    run = ran(sim(), schedule)
    assert [record.outcome for record in run.records] == ["completed", "rejected", "completed"]
    assert by_id(run)["c/0"].submitted_ns == 10**12 + 7


def test_clock_of_more_than_292_years_is_refused() -> None:
    two = [request("a", 0, [1], [1]), request("b", 0, [2], [1])]
    with pytest.raises(ConfigError, match=r"order\.rate_scale"):
        ran(sim(), Timed(start="uniform", rate=1e-10).arrange(two))


def test_replay_takes_the_order_of_arrival_and_says_so() -> None:
    requests = spread(random_requests(5, 6), 1e6)
    timed = ran(sim(max_num_seqs=4), Timed().arrange(requests))
    replay = ran(ReplayEngine(**SIZES), Timed().arrange(requests))
    assert [record.request_id for record in replay.records] == [record.request_id for record in timed.records]
    assert {id: record.cached_tokens for id, record in by_id(replay).items()} == {
        id: record.cached_tokens for id, record in by_id(timed).items()
    }
    assert ARRIVAL_NOTE in replay.notes
    assert by_id(replay) == by_id(ran(ReplayEngine(**SIZES), ByArrival().arrange(requests)))


def test_replay_orders_a_turn_after_its_think_time() -> None:
    a = conversation("a", ([1], [1]), ([2], [2]))
    b = replace(request("b", 0, [3], [3]), arrival_s=5.0)
    requests = [replace(a[0], arrival_s=0.0), replace(a[1], think_s=6.0), b]
    records = by_id(ran(ReplayEngine(**SIZES), Timed().arrange(requests)))
    assert [records[id].prefill_index for id in ("a/0", "b/0", "a/1")] == [0, 1, 2]
