"""Runs a schedule on replicas in simulated time: routing, the order of steps, and changes of the fleet."""

from collections import deque
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

from cachelab.engine.entry_queue import Entry, EntryQueue
from cachelab.errors import EngineError
from cachelab.fleet.event import Change
from cachelab.fleet.router import Choose
from cachelab.request import Request, Schedule, Stage


class Sent(Protocol):
    """A request as an engine gets it. `tokens`: those of its prompt and its reply."""

    @property
    def request(self) -> Request: ...

    @property
    def prompt_tokens(self) -> int: ...

    @property
    def tokens(self) -> int: ...


S = TypeVar("S", bound=Sent)


class Engines(Protocol[S]):
    """The engines of a fleet, by number. Each has a queue of requests and runs one step at a time."""

    @property
    def block_size(self) -> int: ...

    def prepare(self, entry: Entry) -> S | None:
        """The request as it is sent; None if it is rejected, which is recorded."""
        ...

    def cached_tokens(self, sent: S) -> Sequence[int]:
        """The prompt tokens that the request would find in each engine's cache now."""
        ...

    def prompt_blocks(self, sent: S) -> Sequence[Hashable]:
        """See View.prompt_blocks."""
        ...

    def submit(self, replica: int, sent: S) -> None:
        """Queue a request."""
        ...

    def is_busy(self, replica: int) -> bool:
        """Whether an engine has a request that has not ended."""
        ...

    def step(self, replica: int, now_ns: int) -> int:
        """Run the next step, which starts now. Returns the time at which it ends."""
        ...

    def take(self, replica: int) -> Iterable[S]:
        """Record the results of the last step. Returns the requests that have ended."""
        ...

    def forget(self, replica: int) -> None:
        """Drop an engine's cache and its requests; it is not used any more."""
        ...


class Placed(NamedTuple):
    """The replica of a request, and the most prompt tokens that another one's cache held when it was routed."""

    replica: int
    elsewhere_tokens: int


class FleetLoop(Generic[S]):
    """One run. Its clock is that of the earliest thing that happens next.

    At each time, in this order: steps that end are recorded, the fleet changes, requests that enter are routed and
    sent, and each engine without a running step starts the next one. An engine's cache and load therefore do not show
    what happens later than the time at which a request is routed. `num_replicas` counts the replicas so far, also those
    that have left; the lists by replica also have places for those that are added later.
    """

    def __init__(self, engines: Engines[S], num_replicas: int, choose: Choose, changes: Sequence[Change]) -> None:
        total = num_replicas + sum(change.action == "add" for change in changes)
        self.engines = engines
        self.choose = choose
        self.changes = deque(changes)
        self.num_replicas = num_replicas
        self.now_ns = 0
        self.open = list(range(num_replicas))
        self.alive = list(self.open)
        self.in_flight_tokens = [0] * total
        self.sent_tokens = [0] * total
        self.placed: dict[str, Placed] = {}
        self.resent = 0
        self._ends_ns: dict[int, int] = {}
        self._entries: dict[str, tuple[int, Entry, S]] = {}
        self._routed: S | None = None
        self._cached: Sequence[int] = ()

    def run(self, schedule: Schedule) -> None:
        """Run stage by stage."""
        queue = EntryQueue(schedule.waits, 0)
        for stage in schedule.stages:
            self._run_stage(stage, queue)

    @property
    def block_size(self) -> int:
        """Tokens per block."""
        return self.engines.block_size

    @property
    def prompt_tokens(self) -> int:
        """The length of the prompt of the request that is routed."""
        assert self._routed is not None
        return self._routed.prompt_tokens

    def cached_tokens(self) -> Sequence[int]:
        """The prompt tokens that the routed request would find in each replica's cache now."""
        return self._cached

    def prompt_blocks(self) -> Sequence[Hashable]:
        """See View.prompt_blocks."""
        assert self._routed is not None
        return self.engines.prompt_blocks(self._routed)

    def _run_stage(self, stage: Stage, queue: EntryQueue) -> None:
        for lane in stage:
            queue.add(iter(lane), self.now_ns)
        while (now_ns := self._next_ns(queue)) is not None:
            self.now_ns = now_ns
            for replica in sorted(self._ends_ns) if len(self._ends_ns) > 1 else list(self._ends_ns):
                if self._ends_ns[replica] <= now_ns:
                    self._end_step(replica, queue)
            while self.changes and self.changes[0].at_ns <= now_ns:
                self._change(self.changes.popleft(), queue)
            while (entry := queue.pop(now_ns)) is not None:
                self._send(entry, queue)
            for replica in self.alive:
                if replica not in self._ends_ns and self.engines.is_busy(replica):
                    self._ends_ns[replica] = self.engines.step(replica, now_ns)

    def _next_ns(self, queue: EntryQueue) -> int | None:
        """The next time at which something happens; None if the stage is done."""
        times = list(self._ends_ns.values())
        if queue.next_ns is not None:
            times.append(queue.next_ns)
        if not times:
            return None
        if self.changes:
            times.append(self.changes[0].at_ns)
        return max(self.now_ns, min(times))

    def _end_step(self, replica: int, queue: EntryQueue) -> None:
        del self._ends_ns[replica]
        for sent in self.engines.take(replica):
            _, entry, _ = self._entries.pop(sent.request.id)
            self.in_flight_tokens[replica] -= sent.tokens
            queue.add(entry.lane, self.now_ns)
        if replica not in self.open and not self.engines.is_busy(replica):
            self._leave(replica)

    def _send(self, entry: Entry, queue: EntryQueue) -> None:
        sent = self.engines.prepare(entry)
        if sent is None:
            queue.add(entry.lane, entry.enters_ns, entry.number)
            return
        cached = self.engines.cached_tokens(sent)
        self._routed, self._cached = sent, cached
        replica = self.choose(entry.request, self)
        if replica not in self.open:
            raise EngineError(f"fleet.router: chose replica {replica!r}, and the open ones are {self.open}: correct it")
        elsewhere = max((cached[other] for other in self.alive if other != replica), default=0)
        self.placed[entry.request.id] = Placed(replica, elsewhere)
        self._entries[entry.request.id] = replica, entry, sent
        self.in_flight_tokens[replica] += sent.tokens
        self.sent_tokens[replica] += sent.tokens
        self.engines.submit(replica, sent)

    def _change(self, change: Change, queue: EntryQueue) -> None:
        _, action, replica = change
        if action == "add":
            self.num_replicas += 1
            self.open.append(replica)
            self.alive.append(replica)
            return
        if replica not in self.alive:
            return  # it was drained and has left
        if replica in self.open:
            self.open.remove(replica)
        if action == "kill":
            lost = list(self._sent_to(replica))
            for entry, sent in lost:
                del self._entries[sent.request.id]
                queue.put_back(entry)
            self.resent += len(lost)
            self._ends_ns.pop(replica, None)
            self.in_flight_tokens[replica] = 0
        if action == "kill" or not self.engines.is_busy(replica):
            self._leave(replica)

    def _sent_to(self, replica: int) -> Iterator[tuple[Entry, S]]:
        return ((entry, sent) for of, entry, sent in self._entries.values() if of == replica)

    def _leave(self, replica: int) -> None:
        self.alive.remove(replica)
        self.engines.forget(replica)
