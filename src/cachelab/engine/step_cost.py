"""The simulated clock: what one model step costs."""

from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from cachelab.errors import ConfigError
from cachelab.strict_config import STRICT

NS_PER_S = 1_000_000_000

Seconds = Annotated[float, Field(ge=1e-9, le=3600, allow_inf_nan=False)]


@dataclass(frozen=True, config=STRICT)
class StepCost:
    """A linear cost model: `step_s + prefill_token_s * prefill tokens + decode_sequence_s * decoding sequences`.

    The defaults are of the order of an 8-billion-parameter model on one data-centre GPU. They are no measurement:
    seconds that come from here are simulated seconds. Arithmetic is in whole nanoseconds, so that sums are exact.
    """

    step_s: Seconds = 0.008
    prefill_token_s: Seconds = 0.00004
    decode_sequence_s: Seconds = 0.0001

    def step_ns(self, prefill_tokens: int, decode_sequences: int, passes: int = 1) -> int:
        """Nanoseconds of `passes` equal decode passes (one of which also takes the prefill tokens)."""
        per_pass = _ns(self.step_s) + _ns(self.decode_sequence_s) * decode_sequences
        return per_pass * passes + _ns(self.prefill_token_s) * prefill_tokens


def check_clock(last_ns: float) -> None:
    """Refuse a run that lasts longer than whole nanoseconds can count, 292 years. Raises ConfigError."""
    if last_ns >= 2**63:
        raise ConfigError(
            f"engine.cost: the simulated run lasts {last_ns / NS_PER_S:.3g} s, whole nanoseconds count to "
            f"{2**63 / NS_PER_S:.3g} s: lower engine.cost.*"
        )


def _ns(seconds: float) -> int:
    return round(seconds * NS_PER_S)
