"""`price=per_token`: an API that charges prompts by the million tokens."""

import math
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from cachelab.price.base import Amount, Currency
from cachelab.price.prompt_tokens import PromptTokens
from cachelab.strict_config import STRICT

MILLION = 1_000_000

Lifetime = Annotated[int, Field(gt=0, le=10**9)]
"""Seconds for which an API keeps a block after its last use."""


@dataclass(frozen=True, config=STRICT)
class PerToken:
    """Prices per million prompt tokens: computed (`fresh`), read from the cache (`cached`), and computed and stored.

    `written` None: the API charges nothing extra for storing, so written tokens cost as much as fresh ones. Prices by
    lifetime are a mapping from seconds: the price of the shortest lifetime that is at least that of the run's blocks
    (engine/policy=ttl), the longest one's for a longer life and for blocks that do not expire. The tokens are those of
    this run's cache. An API's own cache may have other blocks, other lifetimes and a smallest prompt.
    """

    fresh: Amount
    cached: Amount
    written: Amount | Annotated[dict[Lifetime, Amount], Field(min_length=1)] | None = None
    currency: Currency = "USD"

    def cost(self, tokens: PromptTokens) -> float:
        total = self.fresh * tokens.fresh + self.cached * tokens.cached + self._written(tokens) * tokens.written
        return total / MILLION

    def _written(self, tokens: PromptTokens) -> float:
        if not isinstance(self.written, dict):
            return self.fresh if self.written is None else self.written
        life_s = math.inf if tokens.lifetime_s is None else tokens.lifetime_s
        return self.written[min((listed for listed in self.written if listed >= life_s), default=max(self.written))]
