"""The simulated clock: the cost of one scheduler step."""

from typing import Annotated, Protocol

from pydantic import Field
from pydantic.dataclasses import dataclass

from cachelab.errors import ConfigError
from cachelab.strict_config import STRICT

NS_PER_S = 1_000_000_000

Seconds = Annotated[float, Field(ge=1e-9, le=3600, allow_inf_nan=False)]


class StepClock(Protocol):
    """Says how long the steps of one simulated run take."""

    def step_ns(self, prefill_tokens: int, decode_sequences: int, passes: int = 1, context_tokens: int = 0) -> int:
        """Nanoseconds of `passes` decode passes, the first of which also computes the prefill tokens.

        `context_tokens`: tokens in the cache in front of the first pass, summed over its sequences. Each pass adds one
        per decoding sequence.
        """
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the seconds must know."""
        ...


@dataclass(frozen=True, config=STRICT)
class StepCost:
    """A linear cost model: `step_s + prefill_token_s * prefill tokens + decode_sequence_s * decoding sequences`.

    All three are in seconds. The defaults have the order of magnitude of an 8-billion-parameter model on one
    data-centre GPU; they are not measured. The arithmetic is in whole nanoseconds, so that sums are exact.
    """

    step_s: Seconds = 0.008
    prefill_token_s: Seconds = 0.00004
    decode_sequence_s: Seconds = 0.0001

    def clock(self) -> StepClock:
        """The clock of one run."""
        return self

    @property
    def notes(self) -> tuple[str, ...]:
        return ()

    def step_ns(self, prefill_tokens: int, decode_sequences: int, passes: int = 1, context_tokens: int = 0) -> int:
        """Nanoseconds of `passes` equal decode passes, the first of which also computes the prefill tokens.

        The model leaves out the context.
        """
        per_pass = _ns(self.step_s) + _ns(self.decode_sequence_s) * decode_sequences
        return per_pass * passes + _ns(self.prefill_token_s) * prefill_tokens


def check_clock(last_ns: float) -> None:
    """Refuse a run of more than 292 years, which 64-bit nanoseconds cannot hold. Raises ConfigError."""
    if last_ns >= 2**63:
        raise ConfigError(
            f"engine.cost: the simulated run lasts {last_ns / NS_PER_S:.3g} s, more than the clock's "
            f"{2**63 / NS_PER_S:.3g} s: lower engine.cost.*, or the times of the order (order.rate_scale)"
        )


def _ns(seconds: float) -> int:
    return round(seconds * NS_PER_S)
