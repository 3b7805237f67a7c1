"""The blocks that were hit, and the number of their hits."""

from typing import Any

import numpy as np

from cachelab.metrics.base import NEVER, Metric
from cachelab.metrics.hits import Int64s
from cachelab.metrics.observation import Observation


def block_table(observation: Observation) -> dict[str, list[Any]]:
    """One row per block that was hit at least once, in the order of their first hits, as columns.

    `block`: the digest of the block and its ancestors, equal in every process. `depth`: its place in the prompt, from
    0. `hits`: the requests that hit it. `conversations`: the number of different conversations of these requests.
    `first_hit_s`, `last_hit_s`: seconds of the engine's clock.
    """
    hits = observation.hits
    blocks, first, counts = np.unique(hits.block, return_index=True, return_counts=True)
    last = first + counts - 1
    order = np.lexsort((hits.depth[first], hits.prefill_index[first]))
    digests = observation.block_ids.digests(blocks.tolist())
    return {
        "block": [digests[block] for block in blocks[order].tolist()],
        "depth": hits.depth[first][order].tolist(),
        "hits": counts[order].tolist(),
        "conversations": _conversations_per_block(observation)[order].tolist(),
        "first_hit_s": (hits.time_ns[first][order] / 1e9).tolist(),
        "last_hit_s": (hits.time_ns[last][order] / 1e9).tolist(),
    }


def _conversations_per_block(observation: Observation) -> Int64s:
    ids = np.asarray([record.conversation_id for record in observation.completed], dtype=np.str_)
    conversation = np.unique(ids, return_inverse=True)[1][observation.hits.request]
    pairs = np.unique(np.stack([observation.hits.block, conversation]), axis=1)
    return np.unique(pairs[0], return_counts=True)[1].astype(np.int64)


def _total(observation: Observation) -> float:
    return float(observation.full_blocks.sum())


def _hit(observation: Observation) -> float:
    return float(observation.hit_blocks.sum())


def _reused_distinct(observation: Observation) -> float:
    return float(len(observation.hits.per_block))


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
