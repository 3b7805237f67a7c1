"""Several replicas of one engine behind a router."""

from dataclasses import field, replace
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from cachelab.engine.base import Engine, EngineRun, Progress
from cachelab.engine.replay import ReplayEngine
from cachelab.engine.sim import SimEngine
from cachelab.errors import ConfigError
from cachelab.fleet.event import FleetEvents, changes
from cachelab.fleet.prefix_approximate import PrefixApproximate
from cachelab.fleet.replay_fleet import run_replay
from cachelab.fleet.round_robin import RoundRobin
from cachelab.fleet.router import Router
from cachelab.fleet.sim_fleet import run_sim
from cachelab.request import Schedule
from cachelab.strict_config import STRICT


@dataclass(frozen=True, config=STRICT)
class Replicas:
    """`num_replicas` engines with the settings of `engine`, each with its own cache, and `router` in front of them.

    All replicas run in this process, in simulated time. The next turn of a conversation is sent when the reply before
    it has ended, on whichever replica that was. `events` change the fleet during the run.
    """

    num_replicas: Annotated[int, Field(gt=0, le=1024)] = 4
    router: Router = field(default_factory=RoundRobin)
    events: FleetEvents = field(default_factory=list)

    def __post_init__(self) -> None:
        list(changes(self.events, self.num_replicas))

    def check(self, engine: Engine) -> None:
        """Raises ConfigError if the engine cannot have these replicas."""
        if isinstance(engine, ReplayEngine):
            if engine.sim_at:
                raise ConfigError("engine.sim_at: one simulator cannot be compared with replicas: set fleet=single")
            if engine.policy.name != "lru":
                raise ConfigError(
                    f"engine.policy: replicas evict by LRU only, not by {engine.policy.name}: set engine/policy=lru or "
                    "fleet=single"
                )
            return
        if not isinstance(engine, SimEngine):
            raise ConfigError(
                f"fleet: replicas are engines of kind sim or replay, not {engine.name}: set engine=sim or "
                "engine=replay, or fleet=single"
            )
        if engine.at_gib:
            raise ConfigError("engine.at_gib: a curve by memory is that of one engine: set fleet=single")
        if engine.host_cache_gib:
            raise ConfigError("fleet: replicas have no host tier: set engine.host_cache_gib=0 or fleet=single")
        if engine.history == "generated" and any(event.action == "kill" for event in self.events):
            raise ConfigError(
                "fleet.events: after a kill a request is sent again, and with history=generated its prompt is gone: "
                "set history=recorded"
            )
        if isinstance(self.router, PrefixApproximate) and not engine.is_plain:
            raise ConfigError(
                "fleet.router: prefix_approximate counts blocks of full attention, and engine.layers or engine.model "
                "has other ones: set fleet/router=prefix_aware"
            )

    def run(self, engine: Engine, schedule: Schedule, progress: Progress) -> EngineRun:
        """Run every request of the schedule. Raises ConfigError if the engine cannot have these replicas."""
        self.check(engine)
        events = list(changes(self.events, self.num_replicas))
        if isinstance(engine, ReplayEngine):
            run = run_replay(engine, schedule, progress, self.num_replicas, self.router.begin(), events)
            return replace(run, notes=(*run.notes, *self._clock_notes(schedule)))
        assert isinstance(engine, SimEngine)  # see check
        return run_sim(engine, schedule, progress, self.num_replicas, self.router.begin(), events)

    def _clock_notes(self, schedule: Schedule) -> tuple[str, ...]:
        """The settings whose seconds are not those of the schedule, because a replay leaves out all waiting."""
        forgets = isinstance(self.router, PrefixApproximate) and self.router.ttl_s is not None
        settings = ["fleet.events"] * bool(self.events) + ["fleet.router.ttl_s"] * forgets
        if not schedule.waits or not settings:
            return ()
        return (f"The seconds of {' and '.join(settings)} are also those of the replay, without all waiting.",)
