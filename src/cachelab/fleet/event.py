"""Changes of a fleet during a run."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal, NamedTuple

from pydantic import BeforeValidator, Field
from pydantic.dataclasses import dataclass

from cachelab.errors import ConfigError
from cachelab.inner_settings import inner_objects
from cachelab.strict_config import STRICT


@dataclass(frozen=True, config=STRICT)
class FleetEvent:
    """A replica is added, drained or killed `at_s` seconds after the start of the run, on the fleet's clock.

    `add`: a new replica with an empty cache; it has the next number. `drain`: the replica accepts no more requests, and
    leaves with its cache when those that it has have ended. `kill`: it leaves at once with its cache, and its requests
    are routed and sent again.
    """

    at_s: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
    action: Literal["add", "drain", "kill"]
    replica: Annotated[int, Field(ge=0)] | None = None

    @property
    def at_ns(self) -> int:
        """The time in nanoseconds."""
        return round(self.at_s * 1e9)


def _checked(value: object) -> object:
    """The events as objects. Raises ConfigError that names the key of a wrong one."""
    return inner_objects(FleetEvent, value, "fleet.events", "an event is {at_s: 60, action: kill, replica: 0}")


FleetEvents = Annotated[list[FleetEvent], Field(max_length=1000), BeforeValidator(_checked)]


class Change(NamedTuple):
    """An event with the number of its replica."""

    at_ns: int
    action: Literal["add", "drain", "kill"]
    replica: int


def changes(events: Sequence[FleetEvent], num_replicas: int) -> Iterator[Change]:
    """The events in the order of their times. Raises ConfigError if one names a replica that is not there."""
    accepting, working, next_number = set(range(num_replicas)), set(range(num_replicas)), num_replicas
    for event in sorted(events, key=lambda event: event.at_ns):
        where = f"fleet.events: {event.action} at {event.at_s:g} s"
        number = event.replica
        if event.action == "add":
            if number is not None:
                raise ConfigError(f"{where}: a new replica gets the next number: leave out replica={number}")
            number, next_number = next_number, next_number + 1
            accepting.add(number)
            working.add(number)
        elif number is None:
            raise ConfigError(f"{where}: no replica is named: set replica to one of {sorted(working)}")
        elif number not in (accepting if event.action == "drain" else working):
            there = sorted(accepting if event.action == "drain" else working)
            raise ConfigError(f"{where}: there is no replica {number} then: set replica to one of {there}")
        else:
            accepting.discard(number)
            if event.action == "kill":
                working.discard(number)
        if not accepting:
            raise ConfigError(f"{where}: no replica is left that accepts requests: add one before")
        yield Change(event.at_ns, event.action, number)
