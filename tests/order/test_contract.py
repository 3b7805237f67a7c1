"""What every order must do, whatever it is called."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachelab.order.all_at_once import AllAtOnce
from cachelab.order.base import Order
from cachelab.order.by_arrival import ByArrival
from cachelab.order.by_conversation import ByConversation
from cachelab.order.by_turn import ByTurn
from cachelab.order.sessions import Sessions
from cachelab.order.think_time import ThinkTime
from cachelab.order.timed import Timed
from cachelab.request import Request, Schedule
from workloads import conversation, request

ORDERS = [
    AllAtOnce(),
    ByArrival(),
    ByConversation(),
    ByTurn(),
    Sessions(num_users=1),
    Sessions(num_users=3),
    Sessions(num_users=50),
    Sessions(num_users=2, think_s=1.5),
    Timed(),
    Timed(start="poisson", rate=0.5, think_s=ThinkTime("lognormal", 20.0)),
    Timed(start="uniform", rate_scale=float("inf")),
]


@st.composite
def chats(draw: st.DrawFn) -> list[Request]:
    """Chats of 1 to 5 turns, their requests shuffled among one another."""
    requests: list[Request] = []
    for index, turns in enumerate(draw(st.lists(st.integers(1, 5), min_size=1, max_size=8))):
        made = conversation(f"c{index}", *[([index, turn], [turn]) for turn in range(turns)])
        times = draw(st.lists(st.floats(0, 100), min_size=turns, max_size=turns))
        requests += [replace(entry, arrival_s=time) for entry, time in zip(made, times, strict=True)]
    return draw(st.permutations(requests))


def places(schedule: Schedule) -> dict[str, tuple[int, int, int]]:
    """(stage, lane, place in the lane) of every request."""
    return {
        entry.id: (s, n, i)
        for s, stage in enumerate(schedule.stages)
        for n, lane in enumerate(stage)
        for i, entry in enumerate(lane)
    }


def starts_after(schedule_places: dict[str, tuple[int, int, int]], later: str, earlier: str) -> bool:
    """Whether the schedule makes `later` wait for the end of `earlier`."""
    (stage_a, lane_a, place_a), (stage_b, lane_b, place_b) = schedule_places[earlier], schedule_places[later]
    return stage_a < stage_b or ((stage_a, lane_a) == (stage_b, lane_b) and place_a < place_b)


@pytest.mark.parametrize("order", ORDERS, ids=str)
@given(requests=chats())
def test_order_arranges_each_request_once_with_turns_in_sequence(order: Order, requests: list[Request]) -> None:
    # one test of all that holds for any chats: making them takes longer than arranging them
    schedule = order.arrange(requests)
    assert order.arrange(requests) == schedule, "a second time is different"
    assert sorted(entry.id for entry in schedule) == sorted(entry.id for entry in requests)
    assert all(lane for stage in schedule.stages for lane in stage), "an empty lane"
    assert schedule.waits.keys() <= {entry.id for entry in requests}
    assert all(wait.at_ns >= 0 and wait.think_ns >= 0 for wait in schedule.waits.values())
    found = places(schedule)
    for entry in requests:
        if entry.follows is not None:
            assert starts_after(found, entry.id, entry.follows), "a turn before the one that it follows"


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_order_of_nothing_is_empty(order: Order) -> None:
    assert len(order.arrange([])) == 0


TWO = [*conversation("a", ([1], [2]), ([3], [4])), *conversation("b", ([5], [6]), ([7], [8]))]


def ids(schedule: Schedule) -> list[list[list[str]]]:
    return [[[entry.id for entry in lane] for lane in stage] for stage in schedule.stages]


def test_all_at_once_gives_chats_a_lane_each() -> None:
    assert ids(AllAtOnce().arrange(TWO)) == [[["a/0", "a/1"], ["b/0", "b/1"]]]


def test_all_at_once_gives_independent_requests_a_lane_each() -> None:
    single = [request("a", turn, [turn], [1], follows=False) for turn in range(3)]
    assert ids(AllAtOnce().arrange(single)) == [[["a/0"], ["a/1"], ["a/2"]]]


def test_by_conversation_is_one_lane() -> None:
    assert ids(ByConversation().arrange(TWO)) == [[["a/0", "a/1", "b/0", "b/1"]]]


def test_by_turn_is_a_stage_a_turn() -> None:
    assert ids(ByTurn().arrange(TWO)) == [[["a/0"], ["b/0"]], [["a/1"], ["b/1"]]]


def test_sessions_deal_conversations_to_the_least_loaded_user() -> None:
    long = conversation("long", ([0] * 50, [1] * 50))
    # the long chat (100 tokens) goes to user 0; a (1+1 and 3+1 tokens), then b go to user 1, who has still fewer
    schedule = Sessions(num_users=2).arrange([*long, *TWO])
    assert ids(schedule) == [[["long/0"], ["a/0", "a/1", "b/0", "b/1"]]]


def test_sessions_with_more_users_than_conversations_leaves_users_idle() -> None:
    assert ids(Sessions(num_users=9).arrange(TWO)) == [[["a/0", "a/1"], ["b/0", "b/1"]]]


def test_by_arrival_goes_by_recorded_times_and_keeps_turns_in_order() -> None:
    # b/0 came first; a/1 is recorded before a/0, which it follows: it comes right after it
    times = {"a/0": 5.0, "a/1": 3.0, "b/0": 1.0, "b/1": 6.0}
    requests = [replace(request, timestamp_s=times[request.id]) for request in TWO]
    assert ids(ByArrival().arrange(requests)) == [[["b/0", "a/0", "a/1", "b/1"]]]
    assert ByArrival().arrange([]).stages == ()
