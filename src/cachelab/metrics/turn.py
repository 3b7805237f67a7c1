"""The block hit rate of each turn."""

from typing import Any

import numpy as np

from cachelab.metrics.base import Ratio, Series
from cachelab.metrics.observation import Observation


def turn_table(observation: Observation) -> dict[str, list[Any]]:
    """One row per turn index of the completed requests, in ascending order, as columns.

    `hit_rate` is None if the turn's prompts have no full block.
    """
    turns = np.asarray([record.turn_index for record in observation.completed], dtype=np.int64)
    indices, row = np.unique(turns, return_inverse=True)
    prompt_blocks = np.zeros(len(indices), dtype=np.int64)
    hit_blocks = np.zeros(len(indices), dtype=np.int64)
    np.add.at(prompt_blocks, row, observation.full_blocks)
    np.add.at(hit_blocks, row, observation.hit_blocks)
    pairs = zip(hit_blocks.tolist(), prompt_blocks.tolist(), strict=True)
    return {
        "turn_index": indices.tolist(),
        "requests": np.bincount(row, minlength=len(indices)).tolist(),
        "prompt_blocks": prompt_blocks.tolist(),
        "hit_blocks": hit_blocks.tolist(),
        "hit_rate": [Ratio(hit, total).value for hit, total in pairs],
    }


def _column(observation: Observation, name: str) -> dict[int, float]:
    table = turn_table(observation)
    cells = zip(table["turn_index"], table[name], strict=True)
    return {turn_index: float(value) for turn_index, value in cells if value is not None}


METRICS = (
    Series(
        "turn/hit_rate",
        "ratio",
        "hit_rate/first_prefill of the completed requests of one turn index; the step is the turn index.",
        lambda observation: _column(observation, "hit_rate"),
        "the turn's prompts have no full block",
    ),
    Series(
        "turn/requests",
        "requests",
        "Completed requests of one turn index; the step is the turn index.",
        lambda observation: _column(observation, "requests"),
        "no request of the turn completed",
    ),
)
