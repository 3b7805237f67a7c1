"""The prompt tokens of a run by what a prefix cache does with them."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from cachelab.metrics.hits import Int64s
from cachelab.metrics.observation import Observation


@dataclass(frozen=True, slots=True)
class PromptTokens:
    """Prompt tokens of all completed requests, each request counted once, at its first prefill.

    `cached` were read from the cache. `written` were computed and are in full blocks, which enter the cache. `fresh`
    were computed and do not enter it. Every prompt token is one of the three. `lifetime_s`: seconds after its last use
    at which a block of this cache expires (None: never).
    """

    fresh: int
    cached: int
    written: int
    lifetime_s: float | None = None

    @classmethod
    def of(cls, observation: Observation) -> Self:
        """The tokens of a run."""
        return cls._of(observation, observation.cached_tokens)

    @classmethod
    def uncached(cls, observation: Observation) -> Self:
        """The tokens of the same prompts without a prefix cache: all are fresh."""
        return cls(fresh=int(observation.prompt_tokens.sum()), cached=0, written=0)

    @classmethod
    def ideal(cls, observation: Observation) -> Self:
        """The tokens of the same prompts with an unlimited cache, in the same order, one at a time."""
        from cachelab.metrics.ideal import ideal_cached_tokens

        return cls._of(observation, np.maximum(ideal_cached_tokens(observation), observation.cached_tokens))

    @classmethod
    def without_expiry(cls, observation: Observation) -> Self:
        """The tokens of the run if the expired ones had been found in the cache (losses/expired)."""
        from cachelab.metrics.losses import losses_of

        return cls._of(observation, observation.cached_tokens + losses_of(observation).expired)

    @classmethod
    def _of(cls, observation: Observation, cached: Int64s) -> Self:
        if observation.counters.queries_tokens == 0:  # prefix caching is disabled: no block enters the cache
            return cls.uncached(observation)
        prompts = observation.prompt_tokens
        in_blocks = np.minimum(observation.full_blocks * observation.counters.block_size, prompts)
        written = np.maximum(in_blocks - cached, 0)
        return cls(
            fresh=int((prompts - cached - written).sum()),
            cached=int(cached.sum()),
            written=int(written.sum()),
            lifetime_s=observation.counters.lifetime_s,
        )

    @property
    def computed(self) -> int:
        return self.fresh + self.written
