"""The blocks that were hit, and the number of their hits."""

from typing import Any

import numpy as np

from cachelab.mapped_array import give_back
from cachelab.metrics.base import NEVER, Metric
from cachelab.metrics.observation import Observation


def block_table(observation: Observation) -> dict[str, Any]:
    """One row per block that was hit at least once, in the order of their first hits, as columns.

    `block`: the digest of the block and its ancestors, equal in every process. `depth`: its place in the prompt, from
    0. `hits`: the requests that hit it. `conversations`: the number of different conversations of these requests.
    `first_hit_s`, `last_hit_s`: seconds of the engine's clock.
    """
    hits = observation.hits
    give_back(observation.accesses.blocks)
    order = np.lexsort((hits.depth, hits.prefill_index[hits.first]))
    names = observation.block_ids.names(hits.block)
    return {
        "block": names[order],
        "depth": hits.depth[order],
        "hits": hits.per_block[order],
        "conversations": hits.conversations[order],
        "first_hit_s": hits.time_ns[hits.first][order] / 1e9,
        "last_hit_s": hits.time_ns[hits.last][order] / 1e9,
    }


def num_hit_blocks(observation: Observation) -> int:
    """The rows of `block_table`."""
    return len(observation.hits.block)


def _total(observation: Observation) -> float:
    return float(observation.full_blocks.sum())


def _hit(observation: Observation) -> float:
    return float(observation.hit_blocks.sum())


def _reused_distinct(observation: Observation) -> float:
    return float(num_hit_blocks(observation))


def _hits_per_block_mean(observation: Observation) -> float | None:
    per_block = observation.hits.per_block
    return float(per_block.mean()) if len(per_block) else None


def _hits_per_block_max(observation: Observation) -> float | None:
    per_block = observation.hits.per_block
    return float(per_block.max()) if len(per_block) else None


def _reuses(observation: Observation) -> float:
    return _hit(observation) - _reused_distinct(observation)


METRICS = (
    Metric("blocks/total", "blocks", "Full prompt blocks of the completed requests.", _total, NEVER),
    Metric("blocks/hit", "blocks", "Prompt blocks found in the cache at the first prefills.", _hit, NEVER),
    Metric(
        "blocks/reused_distinct",
        "blocks",
        "Distinct blocks that were hit at least once.",
        _reused_distinct,
        NEVER,
    ),
    Metric(
        "blocks/hits_per_block_mean",
        "hits",
        "Mean number of hits of the distinct blocks that were hit at least once.",
        _hits_per_block_mean,
        "no block was hit",
    ),
    Metric(
        "blocks/hits_per_block_max",
        "hits",
        "Hits of the block with the most hits.",
        _hits_per_block_max,
        "no block was hit",
    ),
    Metric(
        "blocks/reuses",
        "hits",
        "Hits of a block after its first hit: blocks/hit - blocks/reused_distinct.",
        _reuses,
        NEVER,
    ),
)
