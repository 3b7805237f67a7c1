"""`engine/policy=ttl`: LRU, and blocks expire unless they are used again, as in the caches of API providers."""

from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from cachelab.engine.policy.base import Kept, Replayed
from cachelab.errors import ConfigError
from cachelab.prefix_cache.retention import expiring_hit_blocks
from cachelab.strict_config import STRICT


@dataclass(frozen=True, config=STRICT)
class Ttl:
    """A block expires `ttl_s` seconds after the last request that used it entered. Else evicts as LRU does.

    The times are those of the order.
    """

    ttl_s: Annotated[float, Field(ge=1e-9, le=1e9, allow_inf_nan=False)] = 300.0

    @property
    def name(self) -> str:
        return "ttl"

    def run(self, replayed: Replayed, num_blocks: int) -> Kept:
        """Run the requests. Raises ConfigError if they have no times."""
        times_ns = replayed.times_ns()
        if times_ns is None:
            raise ConfigError(
                "engine.policy: ttl needs requests that enter at different times, and here none waits: set "
                "order=timed (with order.start=poisson for a log without times), or order=sessions with order.think_s"
            )
        hits, most_held = expiring_hit_blocks(replayed.accesses, num_blocks, times_ns, round(self.ttl_s * 1e9))
        notes = (
            "Blocks expire by the times at which the requests enter if replies take no time.",
            f"At most {most_held:,} of {num_blocks:,} usable blocks held an unexpired block after a request.",
        )
        return Kept(hits, notes, self.ttl_s)
