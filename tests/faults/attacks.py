"""What the attacked processes run, and how an attack is judged."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from faults.ledger import record

LONG = "CACHELAB_FAULTS_MOMENTS" in os.environ
RUN = ("experiment=multi_turn", "engine=replay", "filter.max_conversations=3", "artifacts=[requests,per_turn]")
SWEEP = ("--multirun", *RUN, "engine.num_blocks=257,300")
SEARCH = (
    "--multirun",
    "experiment=tune_filter",
    "engine=replay",
    "hydra.sweeper.n_trials=3",
    "filter.max_conversations=12",
    "objective_constraints={requests/completed: '>= 5'}",
)


@dataclass
class Attack:
    """An attack repeated at many moments: what was tried, and what did not hold."""

    name: str
    tried: int = 0
    lost: list[str] = field(default_factory=list)

    @contextmanager
    def at(self, what: str) -> Iterator[None]:
        """One try; it is lost if anything that it asserts does not hold."""
        self.tried += 1
        try:
            yield
        except (AssertionError, OSError, ValueError, sqlite3.Error) as error:  # TimeoutError is an OSError
            self.lost.append(f"{what}: {type(error).__name__}: {error}")

    def end(self) -> None:
        """Write the ledger and fail if something was lost."""
        record(self.name, self.tried, self.tried - len(self.lost))
        assert not self.lost, f"{len(self.lost)} of {self.tried} lost:\n" + "\n".join(self.lost)
