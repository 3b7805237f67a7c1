"""The protocol of prices."""

from typing import Annotated, Protocol

from pydantic import Field

from cachelab.price.prompt_tokens import PromptTokens
from cachelab.strict_config import Text

Amount = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
"""A price in the currency of its option: 0 to 10^9."""

Currency = Annotated[Text, Field(max_length=12)]
"""The name of a currency, which is shown next to each amount."""


class Price(Protocol):
    """Turns prompt tokens into money."""

    @property
    def currency(self) -> str: ...

    def cost(self, tokens: PromptTokens) -> float | None:
        """The estimated price of the tokens, in the currency; None if there is no price for tokens of this kind."""
        ...
