"""One trial of a search."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Trial:
    """One trial of a study. `values` are its objectives (None: it failed, or its filter kept nothing).

    `run_id` is the id of its run in the store, `reason` the reason why it has no objectives.
    """

    number: int
    state: str
    params: Mapping[str, Any]
    values: Sequence[float] | None
    feasible: bool
    run_id: str | None
    reason: str | None = None
