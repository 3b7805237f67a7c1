"""How well measured scheduler steps predict other steps of the same run."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cachelab.engine.step_points import Floats
from cachelab.engine.table_cost import StepTable
from cachelab.metrics.base import Metric
from cachelab.metrics.observation import Observation, memoize


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """The steps that were held out, in seconds. Shape of each array: (num_held_out,).

    `table` is interpolated between the other steps as TableCost does, `linear` is the linear model fitted to them.
    `outside`: the share of steps outside of the other ones, which TableCost gives to the linear model.
    """

    measured: Floats
    table: Floats
    linear: Floats
    outside: float


@memoize
def held_out(observation: Observation) -> HeldOut | None:
    """Every fifth measured step, predicted from the others; None if fewer than ten steps were measured."""
    steps = observation.steps
    if steps is None or len(steps) < 10:
        return None
    fitted, tested = steps.split()
    table = StepTable(fitted.averaged())
    seconds, outside = table.seconds(tested.work)
    return HeldOut(tested.seconds, seconds, table.linear(tested.work), float(outside.mean()))


def _error(field: str, percentile: float) -> Callable[[Observation], float | None]:
    def compute(observation: Observation) -> float | None:
        found = held_out(observation)
        if found is None:
            return None
        predicted: Floats = getattr(found, field)
        return float(np.percentile(np.abs(predicted - found.measured) / found.measured, percentile))

    return compute


def _bias(observation: Observation) -> float | None:
    found = held_out(observation)
    return None if found is None else float(found.table.sum() / found.measured.sum() - 1)


_ABSENT = "fewer than ten steps were measured (`engine.record_steps`)"

METRICS = (
    Metric(
        "calibration/steps",
        "steps",
        "Scheduler steps whose seconds were measured.",
        lambda observation: None if observation.steps is None else float(len(observation.steps)),
        "steps were not measured (`engine.record_steps`)",
    ),
    Metric(
        "calibration/held_out_error_p50",
        "ratio",
        "Median of abs(interpolated - measured) / measured over every fifth step; the other steps give the table.",
        _error("table", 50),
        _ABSENT,
    ),
    Metric(
        "calibration/held_out_error_p95",
        "ratio",
        "95th percentile of the same.",
        _error("table", 95),
        _ABSENT,
    ),
    Metric(
        "calibration/held_out_bias",
        "ratio",
        "Interpolated seconds of these steps / their measured seconds - 1.",
        _bias,
        _ABSENT,
    ),
    Metric(
        "calibration/held_out_outside",
        "ratio",
        "Share of these steps that lie outside of the other steps and take the seconds of a linear fit.",
        lambda observation: None if (found := held_out(observation)) is None else found.outside,
        _ABSENT,
    ),
    Metric(
        "calibration/linear_error_p50",
        "ratio",
        "The median error of the linear fit alone, on the same steps.",
        _error("linear", 50),
        _ABSENT,
    ),
)
