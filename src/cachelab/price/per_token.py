"""`price=per_token`: an API that charges prompts by the million tokens."""

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
    lifetime are a mapping from seconds; that of the shortest lifetime counts that is at least as long as the run's
    blocks live (engine/policy=ttl). The tokens are those of this run's cache. An API's own cache may have other blocks,
    other lifetimes and a smallest prompt.
    """

    fresh: Amount
    cached: Amount
    written: Amount | Annotated[dict[Lifetime, Amount], Field(min_length=1)] | None = None
    currency: Currency = "USD"

    def cost(self, tokens: PromptTokens) -> float | None:
        """The price; None if tokens are written and no listed lifetime is as long as theirs, or they do not expire."""
        written = self._written(tokens.lifetime_s) if tokens.written else 0.0
        if written is None:
            return None
        return (self.fresh * tokens.fresh + self.cached * tokens.cached + written * tokens.written) / MILLION

    def _written(self, lifetime_s: float | None) -> float | None:
        if not isinstance(self.written, dict):
            return self.fresh if self.written is None else self.written
        if lifetime_s is None:
            return None
        return next((self.written[listed] for listed in sorted(self.written) if listed >= lifetime_s), None)
