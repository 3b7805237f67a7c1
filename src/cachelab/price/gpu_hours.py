"""`price=gpu_hours`: self-hosted GPUs that are paid by the hour."""

from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from cachelab.errors import ConfigError
from cachelab.price.base import Amount, Currency
from cachelab.price.prompt_tokens import PromptTokens
from cachelab.strict_config import STRICT

_S_PER_HOUR = 3600


@dataclass(frozen=True, config=STRICT)
class GpuHours:
    """The price of the GPU time in which prompt tokens are computed; cached tokens cost nothing.

    `per_hour` is the price of one GPU for one hour, `gpus` the number of GPUs of one replica. `prefill_token_s` are the
    seconds in which the replica computes one prompt token; by default those of the engine's cost model, which are
    not measured. The time of decoding, and idle time, are left out. Raises ConfigError if `prefill_token_s` is None.
    """

    per_hour: Amount
    gpus: Annotated[int, Field(ge=1, le=100_000)] = 1
    prefill_token_s: Annotated[float, Field(ge=1e-9, le=3600, allow_inf_nan=False)] | None = None
    currency: Currency = "USD"

    def __post_init__(self) -> None:
        if self.prefill_token_s is None:
            raise ConfigError(
                "price.prefill_token_s: this engine has no linear cost model: give the seconds per prompt token, such "
                "as 0.00004 for 25,000 prompt tokens per second"
            )

    def gpu_seconds(self, tokens: PromptTokens) -> float:
        """GPU-seconds in which the tokens that were not cached are computed, on all GPUs together."""
        assert self.prefill_token_s is not None
        return tokens.computed * self.prefill_token_s * self.gpus

    def cost(self, tokens: PromptTokens) -> float:
        return self.gpu_seconds(tokens) / _S_PER_HOUR * self.per_hour
