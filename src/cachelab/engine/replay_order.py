"""The order in which a replay runs its requests, one at a time."""

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from cachelab.engine.base import why_rejected
from cachelab.request import Request, RequestRecord, Schedule


class Admitted(NamedTuple):
    """A request that runs, and the number of requests that had ended when it was submitted."""

    request: Request
    after: int


def admit(schedule: Schedule, longest: int | None) -> tuple[list[Admitted], dict[str, RequestRecord]]:
    """The requests that run, in the order in which they run, and the records of the rejected ones.

    A prompt that leaves no room in `longest` tokens is rejected (None: no prompt is).
    """
    rejected: dict[str, RequestRecord] = {}

    def next_of(lane: Iterator[Request]) -> Request | None:
        for request in lane:
            length = len(request.prompt_ids)
            reason = None if longest is None else why_rejected(length, longest)
            if reason is None:
                return request
            record = RequestRecord(request.id, request.conversation_id, request.turn_index, "rejected", length)
            rejected[request.id] = replace(record, reason=reason)
        return None

    admitted: list[Admitted] = []
    for stage in schedule.stages:
        # First come, first served: a lane's next request joins the queue when the previous one has ended.
        lanes = [iter(lane) for lane in stage]
        waiting = deque((Admitted(first, len(admitted)), lane) for lane in lanes if (first := next_of(lane)))
        while waiting:
            entry, lane = waiting.popleft()
            admitted.append(entry)
            if (request := next_of(lane)) is not None:
                waiting.append((Admitted(request, len(admitted)), lane))
    return admitted, rejected


def in_order_of_arrival(schedule: Schedule) -> Schedule:
    """One lane in the order in which the requests would enter if replies took no time; the schedule if it has no times.

    Requests that would enter at the same time keep the order of the schedule.
    """
    if not schedule.waits:
        return schedule
    earliest_ns = schedule.earliest_ns()
    return Schedule(((tuple(sorted(schedule, key=lambda request: earliest_ns[request.id])),),))
