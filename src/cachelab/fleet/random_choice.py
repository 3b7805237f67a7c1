"""A random replica."""

import random
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from cachelab.fleet.router import Choose
from cachelab.strict_config import STRICT


@dataclass(frozen=True, config=STRICT)
class RandomChoice:
    """Chooses each open replica with the same probability, from `seed`."""

    seed: Annotated[int, Field(ge=0)] = 0

    def begin(self) -> Choose:
        rng = random.Random(self.seed)
        return lambda request, view: rng.choice(view.open)
