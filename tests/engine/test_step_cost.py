"""The simulated clock's arithmetic."""

import pytest

from cachelab.engine.step_cost import StepCost

COST = StepCost(step_s=0.01, prefill_token_s=0.001, decode_sequence_s=0.002)


def test_step_cost_of_a_mixed_step_is_linear() -> None:
    # 0.01 + 5 x 0.001 + 3 x 0.002 = 0.021 s
    assert COST.step_ns(prefill_tokens=5, decode_sequences=3) == 21_000_000


def test_step_cost_of_passes_multiplies_all_but_the_prefill() -> None:
    # 4 x (0.01 + 0.002) = 0.048 s, as four steps of one sequence
    assert COST.step_ns(0, 1, passes=4) == 4 * COST.step_ns(0, 1) == 48_000_000


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_step_cost_that_does_not_advance_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="step_s"):
        StepCost(step_s=value)
