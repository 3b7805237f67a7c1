"""One engine."""

from pydantic.dataclasses import dataclass

from cachelab.engine.base import Engine, EngineRun, Progress
from cachelab.request import Schedule
from cachelab.strict_config import STRICT


@dataclass(frozen=True, config=STRICT)
class Single:
    """Runs the schedule on the engine itself, without a router."""

    def check(self, engine: Engine) -> None:
        """Any engine will do."""

    def run(self, engine: Engine, schedule: Schedule, progress: Progress) -> EngineRun:
        """Run every request of the schedule."""
        return engine.run(schedule, progress)
