"""When requests enter: order=timed, and the think times of order=sessions."""

from dataclasses import replace
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachelab.errors import ConfigError
from cachelab.order.all_at_once import AllAtOnce
from cachelab.order.sessions import Sessions
from cachelab.order.think_time import ThinkTime
from cachelab.order.timed import Timed
from cachelab.request import Request, Schedule
from workloads import conversation, random_requests, request

S = 10**9
INFINITY = float("inf")


def chat(name: str, *times: tuple[float | None, float | None]) -> list[Request]:
    """A chat whose turns have these recorded times and think times, in seconds."""
    turns = conversation(name, *[([turn], [turn]) for turn in range(len(times))])
    return [replace(turn, arrival_s=at, think_s=think) for turn, (at, think) in zip(turns, times, strict=True)]


def waits(schedule: Schedule) -> dict[str, tuple[int, int]]:
    return {id: (wait.at_ns, wait.think_ns) for id, wait in schedule.waits.items()}


# a starts at 100 s, the zero of the run; a/1 is recorded 7 s later, 2.5 s after the reply. b starts 4 s after a.
TWO = [*chat("a", (100.0, None), (107.0, 2.5)), *chat("b", (104.0, None), (None, 1.0), (103.0, None), (None, None))]


def test_timed_counts_from_the_earliest_request_and_keeps_both_times() -> None:
    schedule = Timed().arrange(TWO)
    assert [[entry.id for entry in lane] for lane in schedule.stages[0]] == [
        ["a/0", "a/1"],
        ["b/0", "b/1", "b/2", "b/3"],
    ]
    # b/2 was recorded before b/0: it can enter as soon as b/1 has ended; b/3 has no time at all
    assert waits(schedule) == {
        "a/1": (7 * S, 2_500_000_000),
        "b/0": (4 * S, 0),
        "b/1": (4 * S, S),
        "b/2": (4 * S, 0),
        "b/3": (4 * S, 0),
    }
    assert schedule.numbers == {"reordered_turns": 0.0, "turns_without_time": 1.0}
    assert schedule.earliest_ns() == {"a/0": 0, "a/1": 7 * S, "b/0": 4 * S, "b/1": 5 * S, "b/2": 5 * S, "b/3": 5 * S}


def test_timed_counts_turns_recorded_before_the_turn_that_they_follow() -> None:
    schedule = Timed().arrange(chat("a", (5.0, None), (3.0, None), (9.0, None)))
    assert schedule.numbers == {"reordered_turns": 1.0, "turns_without_time": 0.0}
    assert waits(schedule) == {"a/2": (4 * S, 0)}


def test_timed_scales_all_times() -> None:
    assert waits(Timed(rate_scale=2.0).arrange(TWO))["a/1"] == (3_500_000_000, 1_250_000_000)
    assert waits(Timed(rate_scale=0.5).arrange(TWO))["b/1"] == (8 * S, 2 * S)


@given(seed=st.integers(0, 10**6), start=st.sampled_from(["trace", "poisson", "uniform"]))
def test_timed_at_an_infinite_rate_is_all_at_once(seed: int, start: str) -> None:
    requests = [replace(entry, arrival_s=float(i), think_s=3.0) for i, entry in enumerate(random_requests(seed, 5))]
    schedule = Timed(rate_scale=INFINITY, start=start).arrange(requests)  # type: ignore[arg-type]
    assert schedule.stages == AllAtOnce().arrange(requests).stages
    assert not schedule.waits


def test_timed_uniform_starts_are_evenly_spaced_and_keep_the_recorded_gaps() -> None:
    schedule = Timed(start="uniform", rate=0.1).arrange(TWO)  # one conversation every 10 s
    assert waits(schedule) == {
        "a/1": (7 * S, 2_500_000_000),
        "b/0": (10 * S, 0),
        "b/1": (10 * S, S),
        "b/2": (10 * S, 0),
        "b/3": (10 * S, 0),
    }


def test_timed_poisson_starts_have_their_rate_and_depend_on_the_seed() -> None:
    many = [request(f"c{number}", 0, [1], [1]) for number in range(2001)]  # without times
    starts = [wait.at_ns for wait in Timed(start="poisson", rate=4.0, seed=1).arrange(many).waits.values()]
    assert len(starts) == 2000  # the first one enters at the start
    assert starts == sorted(starts)
    assert starts[-1] / S / 2000 == pytest.approx(0.25, rel=0.1)
    again = [Timed(start="poisson", rate=4.0, seed=seed).arrange(many).waits for seed in (1, 2)]
    assert [wait.at_ns for wait in again[0].values()] == starts
    assert again[0] != again[1]


def test_timed_trace_without_times_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"order\.start: .* 1 of 3 have none \(the first is c/0\): set order.start=po"
    ):
        Timed().arrange([*TWO, request("c", 0, [1], [1])])


@pytest.mark.parametrize("seconds", [-0.5, float("nan"), INFINITY, 2e9])
def test_recorded_think_time_that_is_no_time_is_refused(seconds: float) -> None:
    requests = chat("a", (0.0, None), (None, seconds))
    for order in (Timed(), Sessions(think_s="recorded")):
        with pytest.raises(ConfigError, match=r"order: request a/1 has a think time of .* set order\.think_s"):
            order.arrange(requests)
    assert waits(Timed(think_s=1.0).arrange(requests)) == {"a/1": (0, S)}


@pytest.mark.parametrize("seconds", [float("nan"), INFINITY, -INFINITY, 2e13])
def test_recorded_time_that_is_no_time_is_refused(seconds: float) -> None:
    with pytest.raises(ConfigError, match=r"order: request b/0 has the time .* correct the dataset"):
        Timed().arrange([*chat("a", (0.0, None)), *chat("b", (seconds, None))])


@pytest.mark.parametrize("field", ["rate_scale", "rate", "think_s"])
@pytest.mark.parametrize("value", [-1.0, float("nan"), "soon"])
def test_timed_settings_that_are_no_times_are_refused(field: str, value: object) -> None:
    with pytest.raises((ValueError, ConfigError), match=field):
        Timed(**{field: value})  # type: ignore[arg-type]


def test_sessions_think_between_the_turns_of_a_conversation_only() -> None:
    schedule = Sessions(num_users=1, think_s=2.0).arrange(TWO)
    assert waits(schedule) == {id: (0, 2 * S) for id in ("a/1", "b/1", "b/2", "b/3")}
    assert not Sessions(num_users=1).arrange(TWO).waits


def test_sessions_take_recorded_think_times_and_count_those_that_are_missing() -> None:
    schedule = Sessions(num_users=2, think_s="recorded").arrange(TWO)
    assert waits(schedule) == {"a/1": (0, 2_500_000_000), "b/1": (0, S)}
    assert schedule.numbers == {"turns_without_think_time": 2.0}
    with pytest.raises(ConfigError, match=r"order\.think_s: none of the 2 later turns has a recorded think time"):
        Sessions(think_s="recorded").arrange(chat("a", (0.0, None), (1.0, None), (2.0, None)))


@pytest.mark.parametrize("distribution", ["exponential", "lognormal", "uniform"])
def test_think_times_have_their_mean_and_depend_on_the_seed(distribution: str) -> None:
    drawn = ThinkTime(distribution, mean_s=30.0, sigma=0.5).draw_s(20_000)  # type: ignore[arg-type]
    assert mean(drawn) == pytest.approx(30.0, rel=0.03)
    assert min(drawn) >= 0
    assert ThinkTime(distribution, 30.0, 0.5, seed=0).draw_s(20_000) == drawn  # type: ignore[arg-type]
    assert ThinkTime(distribution, 30.0, 0.5, seed=1).draw_s(20_000) != drawn  # type: ignore[arg-type]


def test_think_times_come_from_a_plain_dictionary() -> None:
    order = Sessions(think_s={"distribution": "exponential", "mean_s": 3, "seed": 7})  # type: ignore[arg-type]
    assert order.think_s == ThinkTime("exponential", 3.0, seed=7)
    times = [wait.think_ns for wait in order.arrange(TWO).waits.values()]
    assert times == [round(seconds * S) for seconds in ThinkTime("exponential", 3.0, seed=7).draw_s(4)]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"distribution": "normal", "mean_s": 3.0}, r"order\.think_s\.distribution: .*'normal'"),
        ({"distribution": "exponential", "mean_s": 0.0}, r"order\.think_s\.mean_s"),
        ({"distribution": "exponential"}, r"order\.think_s\.mean_s"),
        ({"distribution": "exponential", "mean_s": 3.0, "mode": 1}, r"order\.think_s\.mode"),
    ],
)
def test_think_times_that_are_not_understood_are_refused(value: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Sessions(think_s=value)  # type: ignore[arg-type]
