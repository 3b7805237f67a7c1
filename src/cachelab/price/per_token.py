"""`price=per_token`: an API that charges prompts by the million tokens."""

from pydantic.dataclasses import dataclass

from cachelab.price.base import Amount, Currency
from cachelab.price.prompt_tokens import PromptTokens
from cachelab.strict_config import STRICT

MILLION = 1_000_000


@dataclass(frozen=True, config=STRICT)
class PerToken:
    """Prices per million prompt tokens: computed (`fresh`), read from the cache (`cached`), and computed and stored.

    `written` None: the API charges nothing extra for storing, so written tokens cost as much as fresh ones. The tokens
    are those of this run's cache. An API's own cache may have other blocks, other lifetimes and a smallest prompt.
    """

    fresh: Amount
    cached: Amount
    written: Amount | None = None
    currency: Currency = "USD"

    def cost(self, tokens: PromptTokens) -> float:
        written = self.fresh if self.written is None else self.written
        total = self.fresh * tokens.fresh + self.cached * tokens.cached + written * tokens.written
        return total / MILLION
