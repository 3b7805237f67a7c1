"""The requests that have not entered an engine yet, by the time at which they do."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from heapq import heappop, heappush
from typing import NamedTuple

from cachelab.request import NO_WAIT, Request, Schedule, Wait

_YEAR_S = 365 * 86_400


class Entry(NamedTuple):
    """The next request of a lane. Entries at the same time keep the order in which their lanes came to them."""

    enters_ns: int
    number: int
    request: Request
    lane: Iterator[Request]


class EntryQueue:
    """The next request of each lane. Times are nanoseconds of the engine's clock, which showed `start_ns` at first."""

    def __init__(self, waits: Mapping[str, Wait], start_ns: int) -> None:
        self._waits = waits
        self._start_ns = start_ns
        self._heap: list[Entry] = []
        self._added = 0

    def add(self, lane: Iterator[Request], ended_ns: int, number: int | None = None) -> None:
        """Queue the next request of a lane whose request before it ended at `ended_ns`.

        `number`: the place among entries at the same time (None: the last). A request after a rejected one has its
        place.
        """
        request = next(lane, None)
        if request is None:
            return
        wait = self._waits.get(request.id, NO_WAIT)
        enters_ns = max(self._start_ns + wait.at_ns, ended_ns + wait.think_ns)
        if number is None:
            number, self._added = self._added, self._added + 1
        heappush(self._heap, Entry(enters_ns, number, request, lane))

    def put_back(self, entry: Entry) -> None:
        """Queue an entry again, at its own time and behind the others of that time."""
        heappush(self._heap, entry._replace(number=self._added))
        self._added += 1

    def pop(self, now_ns: int) -> Entry | None:
        """Take the next entry; None if none enters by `now_ns`."""
        return heappop(self._heap) if self._heap and self._heap[0].enters_ns <= now_ns else None

    @property
    def next_ns(self) -> int | None:
        """The time of the next entry; None if the queue is empty."""
        return self._heap[0].enters_ns if self._heap else None


def wait_line(schedule: Schedule) -> str | None:
    """One line on how long a run takes at least on an engine that waits for its requests; None if it never waits."""
    seconds = max(schedule.earliest_ns().values(), default=0) / 1e9
    if not seconds:
        return None
    length = f"{timedelta(seconds=round(seconds))}" if seconds < _YEAR_S else "more than a year"
    return (
        f"the engine waits for its requests: the last one enters after {seconds:,.1f} s at the earliest ({length}). "
        "A higher order.rate_scale shortens order=timed; engine=sim skips idle time."
    )
