"""What a fleet's run says about its requests and about itself."""

from collections.abc import Sequence
from typing import Any

from cachelab.fleet.base import Placement
from cachelab.fleet.loop import FleetLoop
from cachelab.request import RequestRecord


def placement_of(loop: FleetLoop[Any], records: Sequence[RequestRecord], held: tuple[int, int]) -> Placement:
    """Where the requests ran. `held`: different blocks in the caches at the end, and those in more than one cache."""
    placed = [loop.placed.get(record.request_id) for record in records]
    return Placement(
        num_replicas=loop.num_replicas,
        replicas=tuple(-1 if place is None else place.replica for place in placed),
        elsewhere_tokens=tuple(0 if place is None else place.elsewhere_tokens for place in placed),
        resent=loop.resent,
        held_blocks=held[0],
        duplicate_blocks=held[1],
    )


def fleet_notes(loop: FleetLoop[Any]) -> tuple[str, ...]:
    """Sentences that a reader of the numbers must know."""
    notes = ["The cache size, the ideal and Belady's optimum are those of one cache with the blocks of all replicas."]
    if len(loop.alive) < loop.num_replicas:
        notes.append(f"Of the {loop.num_replicas} replicas {loop.num_replicas - len(loop.alive)} left during the run.")
    if loop.resent:
        notes.append(
            f"{loop.resent} requests were sent again, because their replica was killed: their records are those of the "
            "last time, and their latency counts from the first."
        )
    if loop.changes:
        late = ", ".join(f"{change.action} at {change.at_ns / 1e9:g} s" for change in loop.changes)
        notes.append(f"The run ended at {loop.now_ns / 1e9:g} s, before these events of the fleet: {late}.")
    return tuple(notes)
