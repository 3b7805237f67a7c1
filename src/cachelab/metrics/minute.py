"""The block hit rate over time, by minute of the engine's clock."""

from collections.abc import Mapping

import numpy as np

from cachelab.metrics.base import Series
from cachelab.metrics.hits import Int64s
from cachelab.metrics.observation import Observation

_MINUTE_NS = 60 * 10**9


def minute_table(observation: Observation) -> dict[str, Int64s]:
    """One row per minute with a first prefill, in ascending order, as columns of int64. Shape of each: (num_minutes,).

    Minutes are counted from the first submission. A request belongs to the minute in which it was first scheduled.
    """
    records = observation.completed
    start_ns = min((record.submitted_ns or 0 for record in records), default=0)
    minutes = np.asarray([((record.first_scheduled_ns or 0) - start_ns) // _MINUTE_NS for record in records], np.int64)
    indices, row = np.unique(minutes, return_inverse=True)
    columns = {name: np.zeros(len(indices), np.int64) for name in ("requests", "prompt_blocks", "hit_blocks")}
    np.add.at(columns["requests"], row, 1)
    np.add.at(columns["prompt_blocks"], row, observation.full_blocks)
    np.add.at(columns["hit_blocks"], row, observation.hit_blocks)
    return {"minute": indices, **columns}


def _hit_rate(observation: Observation) -> Mapping[int, float]:
    table = minute_table(observation)
    cells = zip(*(table[name].tolist() for name in ("minute", "hit_blocks", "prompt_blocks")), strict=True)
    return {minute: hit / total for minute, hit, total in cells if total}


def _requests(observation: Observation) -> Mapping[int, float]:
    table = minute_table(observation)
    return {minute: float(n) for minute, n in zip(table["minute"].tolist(), table["requests"].tolist(), strict=True)}


METRICS = (
    Series(
        "minute/hit_rate",
        "ratio",
        "hit_rate/first_prefill of the requests first scheduled in one minute of the engine's clock; the step is the "
        "minute, from the first submission.",
        _hit_rate,
        "the prompts of the minute have no full block",
    ),
    Series(
        "minute/requests",
        "requests",
        "Completed requests first scheduled in one minute of the engine's clock; the step is the minute.",
        _requests,
        "no completed request was first scheduled in the minute",
    ),
)
