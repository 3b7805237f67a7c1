"""When the next request of each lane enters."""

from cachelab.engine.entry_queue import EntryQueue, wait_line
from cachelab.order.timed import Timed
from cachelab.request import Schedule, Wait
from workloads import conversation, one_lane, request

A = conversation("a", ([1], [1]), ([2], [2]), ([3], [3]))
B = conversation("b", ([1], [1]), ([2], [2]))


def test_queue_gives_entries_in_the_order_of_their_times() -> None:
    queue = EntryQueue({"a/0": Wait(at_ns=5), "a/1": Wait(at_ns=20, think_ns=3), "b/1": Wait(think_ns=4)}, start_ns=100)
    queue.add(iter(A), 100)
    queue.add(iter(B), 100)
    first = queue.pop(100)
    assert first is not None
    assert (first.request.id, first.enters_ns) == ("b/0", 100)
    assert queue.next_ns == 105
    assert queue.pop(104) is None
    second = queue.pop(105)
    assert second is not None
    assert second.request.id == "a/0"
    queue.add(first.lane, 116)  # b/1 enters at 116 + 4
    queue.add(second.lane, 110)  # a/1 at 120, which is later than 110 + 3
    assert [entry.request.id for entry in iter(lambda: queue.pop(120), None)] == ["b/1", "a/1"]
    queue.add(first.lane, 130)  # the lane is empty
    assert queue.next_ns is None


def test_queue_gives_the_request_after_a_rejected_one_its_place() -> None:
    queue = EntryQueue({}, start_ns=0)
    queue.add(iter(A), 0)
    queue.add(iter(B), 0)
    rejected = queue.pop(0)
    assert rejected is not None
    queue.add(rejected.lane, rejected.enters_ns, rejected.number)
    assert [entry.request.id for entry in iter(lambda: queue.pop(0), None)] == ["a/1", "b/0"]


def test_run_that_waits_has_a_line_about_its_length() -> None:
    assert wait_line(one_lane(A)) is None
    assert wait_line(Schedule(())) is None
    line = wait_line(Schedule(((tuple(A),),), {"a/1": Wait(think_ns=4_000_000_000), "a/2": Wait(at_ns=6_561 * 10**9)}))
    assert line is not None
    assert "enters after 6,561.0 s at the earliest (1:49:21)" in line


def test_line_about_a_very_long_run_is_short() -> None:
    line = wait_line(Timed(start="uniform", rate=1e-12).arrange([request("a", 0, [1], [1]), request("b", 0, [1], [1])]))
    assert line is not None
    assert "(more than a year)" in line
