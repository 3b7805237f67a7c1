"""The clock of engines that compute."""

import time
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from vllm.v1.engine import EngineCoreOutput


class WallClock:
    """The monotonic clock, which vLLM's own event times are of as well."""

    kind: Literal["simulated", "wall"] = "wall"

    def now_ns(self) -> int:
        return time.monotonic_ns()

    def first_scheduled_ns(self, output: "EngineCoreOutput") -> int:
        scheduled = next(event for event in output.events or () if event.type.name == "SCHEDULED")
        return int(scheduled.timestamp * 1_000_000_000)
