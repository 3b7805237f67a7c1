"""The time between a reply and the next turn of its conversation."""

import math
import random
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic.dataclasses import dataclass

from cachelab.error_format import cut
from cachelab.errors import ConfigError
from cachelab.inner_settings import inner_object
from cachelab.request import Request
from cachelab.strict_config import STRICT

MAX_SECONDS = 1e9
"""The longest think time: 32 years."""

Seconds = Annotated[float, Field(ge=0, le=MAX_SECONDS, allow_inf_nan=False)]


@dataclass(frozen=True, config=STRICT)
class ThinkTime:
    """Think times drawn at random, with mean `mean_s` seconds.

    `uniform` lies between 0 and 2 x `mean_s`. `sigma` is the standard deviation of the logarithm of a `lognormal` think
    time.
    """

    distribution: Literal["exponential", "lognormal", "uniform"]
    mean_s: Annotated[float, Field(gt=0, le=MAX_SECONDS, allow_inf_nan=False)]
    sigma: Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)] = 1.0
    seed: Annotated[int, Field(ge=0)] = 0

    def draw_s(self, number: int) -> list[float]:
        """The first `number` think times, in seconds."""
        rng = random.Random(self.seed)
        if self.distribution == "exponential":
            return [rng.expovariate(1 / self.mean_s) for _ in range(number)]
        if self.distribution == "uniform":
            return [rng.uniform(0, 2 * self.mean_s) for _ in range(number)]
        mu = math.log(self.mean_s) - self.sigma**2 / 2
        return [rng.lognormvariate(mu, self.sigma) for _ in range(number)]


def _checked(value: Any) -> Any:
    """The value, a plain dictionary as a distribution. Raises ConfigError that names the field."""
    if value == "recorded" or isinstance(value, ThinkTime):
        return value
    if not isinstance(value, dict):
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_SECONDS:
            raise ConfigError(
                f"order.think_s: {cut(repr(value), 60)} is no think time: set recorded, a number of seconds from 0 to "
                f"{MAX_SECONDS:.0e}, or {{distribution: exponential, mean_s: 30, seed: 0}}"
            )
        return value
    return inner_object(ThinkTime, value, "order.think_s")


AnyThinkTime = Annotated[Literal["recorded"] | Seconds | ThinkTime, BeforeValidator(_checked)]
"""`recorded`: the think times of the source. A number: seconds, the same for each turn. Or a distribution."""


def think_seconds(requests: Sequence[Request], think: AnyThinkTime) -> dict[str, float]:
    """Seconds between the reply before and each request that `follows` another one, by request id.

    A distribution is drawn in the order of the requests. Requests without a recorded think time are left out. Raises
    ConfigError if a recorded think time is negative or not a finite number.
    """
    later = [request for request in requests if request.follows is not None]
    if isinstance(think, ThinkTime):
        return dict(zip((request.id for request in later), think.draw_s(len(later)), strict=True))
    if think != "recorded":
        return dict.fromkeys((request.id for request in later), float(think))
    found = {request.id: request.think_s for request in later if request.think_s is not None}
    for id, seconds in found.items():
        if not 0 <= seconds <= MAX_SECONDS:  # also refuses NaN
            raise ConfigError(
                f"order: request {id} has a think time of {seconds:g} s: correct the dataset, or set order.think_s to "
                "a number of seconds"
            )
    return found
