"""The protocol of fleets, and what a run on replicas returns."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cachelab.engine.base import Engine, EngineRun, Progress
from cachelab.request import Schedule


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the requests of a run on replicas ran, one value per record.

    `replicas`: the number of the replica that completed the request, from 0; -1 if it was rejected. `elsewhere_tokens`:
    the most prompt tokens that another replica's cache held when the request was routed. `num_replicas` counts all
    replicas, also those that were added or ended during the run. `resent`: how often a request was sent again, because
    its replica was killed. At the end of the run `held_blocks` different blocks were in the caches, `duplicate_blocks`
    of them in more than one.
    """

    num_replicas: int
    replicas: Sequence[int]
    elsewhere_tokens: Sequence[int]
    resent: int
    held_blocks: int
    duplicate_blocks: int


NOWHERE = Placement(0, (), (), 0, 0, 0)


@dataclass(frozen=True, slots=True)
class FleetRun(EngineRun):
    """The result of a run on replicas. The counters are sums over the replicas; `kv_usage_max` is the highest one."""

    placement: Placement = field(default=NOWHERE)


class Fleet(Protocol):
    """Runs a schedule on one or several engines."""

    def check(self, engine: Engine) -> None:
        """Raises ConfigError if the fleet cannot have this engine, before anything is read."""
        ...

    def run(self, engine: Engine, schedule: Schedule, progress: Progress) -> EngineRun:
        """Run every request of the schedule. Raises what the engine raises."""
        ...
