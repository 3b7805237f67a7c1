"""The clocks of engines that run vLLM."""

import time
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from vllm.v1.engine import EngineCoreOutput

    from cachelab.engine.vllm.recorded_executor import RecordedExecutor

_LONGEST_SLEEP_S = 3600.0


class Timeline(Protocol):
    """An engine's clock. All times are whole nanoseconds."""

    kind: Literal["simulated", "wall"]

    def now_ns(self) -> int:
        """The time now."""
        ...

    def wait_until(self, time_ns: int) -> None:
        """Return when the clock shows this time or a later one."""
        ...

    def first_scheduled_ns(self, output: "EngineCoreOutput") -> int:
        """The time at which the request of this output, its first one, was first scheduled."""
        ...


class SimulatedTimeline:
    """The clock of the recorded executor, which advances by the cost of each step."""

    kind: Literal["simulated", "wall"] = "simulated"

    def __init__(self, executor: "RecordedExecutor") -> None:
        self._executor = executor

    def now_ns(self) -> int:
        return self._executor.now_ns

    def wait_until(self, time_ns: int) -> None:
        self._executor.now_ns = max(self._executor.now_ns, time_ns)

    def first_scheduled_ns(self, output: "EngineCoreOutput") -> int:
        return self._executor.first_scheduled_ns[output.request_id]


class WallClock:
    """The machine's monotonic clock. vLLM stamps its events with the same clock."""

    kind: Literal["simulated", "wall"] = "wall"

    def now_ns(self) -> int:
        return time.monotonic_ns()

    def wait_until(self, time_ns: int) -> None:
        while (left_ns := time_ns - time.monotonic_ns()) > 0:
            time.sleep(min(left_ns / 1e9, _LONGEST_SLEEP_S))

    def first_scheduled_ns(self, output: "EngineCoreOutput") -> int:
        scheduled = next(event for event in output.events or () if event.type.name == "SCHEDULED")
        return int(scheduled.timestamp * 1_000_000_000)
