from dataclasses import replace

from cachelab.order import ByArrival, ByConversation
from cachelab.order.arrival_note import arrival_note
from workloads import request

REQUESTS = [request(name, 0, [1], []) for name in ("a", "b")]
TIMED = [replace(one, timestamp_s=float(second)) for second, one in enumerate(REQUESTS)]


def test_order_that_ignores_the_times_is_noted() -> None:
    note = arrival_note(ByConversation(), TIMED)
    assert note is not None
    assert "order=by_arrival" in note


def test_no_note_without_times_or_in_their_order() -> None:
    assert arrival_note(ByArrival(), TIMED) is None
    assert arrival_note(ByConversation(), [replace(one, timestamp_s=3.0) for one in REQUESTS]) is None


def test_no_note_for_a_single_conversation() -> None:
    chat = [replace(request("a", turn, [1], []), timestamp_s=float(turn)) for turn in (0, 1)]
    assert arrival_note(ByConversation(), chat) is None
