"""The protocol of policies: which blocks of a replayed prefix cache stay, and which leave first."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from cachelab.engine.step_cost import check_clock
from cachelab.prefix_cache.accesses import BlockAccesses, Int64s
from cachelab.request import Request, Schedule


@dataclass(frozen=True, slots=True, eq=False)
class Replayed:
    """The requests of a replay, in the order in which they run, and their blocks.

    `schedule`: all requests that were submitted, with the times at which they enter.
    """

    schedule: Schedule
    requests: Sequence[Request]
    accesses: BlockAccesses

    def times_ns(self) -> Int64s | None:
        """When each request enters if replies take no time, in nanoseconds from the start, in ascending order.

        Shape: (num_requests,). None if the schedule has no times. Raises ConfigError for more than 292 years.
        """
        if not self.schedule.waits and len(self.schedule) > 1:
            return None
        earliest_ns = self.schedule.earliest_ns()
        check_clock(max(earliest_ns.values(), default=0))
        return np.asarray([earliest_ns[request.id] for request in self.requests], np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """What a cache with the policy does: the hit blocks of each request, int64 of shape (num_requests,).

    `notes`: sentences that a reader of the numbers must know. `lifetime_s`: seconds after its last use at which a block
    expires (None: never).
    """

    hit_blocks: Int64s
    notes: tuple[str, ...] = ()
    lifetime_s: float | None = None


@runtime_checkable
class Policy(Protocol):
    """Decides which block leaves the cache. A block that another block in the cache continues is never evicted."""

    @property
    def name(self) -> str:
        """The name, as in `engine/policy=NAME`."""
        ...

    def run(self, replayed: Replayed, num_blocks: int) -> Kept:
        """Run the requests through an empty cache of `num_blocks` usable blocks, one at a time.

        Raises ConfigError if the requests lack what the policy needs.
        """
        ...
