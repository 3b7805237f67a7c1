"""Cache capacity: what the run's requests hit at every cache size, in order of first prefills, one at a time.

All of it is about full-attention layers. Where the model has layers of other kinds, the sizes are those of its
full-attention layers alone: no layout hits more.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cachelab.engine.base import EngineRun
from cachelab.mapped_array import give_back
from cachelab.metrics.base import Metric, Ratio
from cachelab.metrics.hit_rate import NO_BLOCK, first_prefill, first_prefill_tokens, later_turns
from cachelab.metrics.hits import Int64s
from cachelab.metrics.observation import Observation, memoize
from cachelab.prefix_cache.hit_rate_curve import LruCurve, Rates, opt_hit_blocks, opt_rates
from cachelab.request import Request

WITHIN = 0.01
"""The knee is this close to the ideal hit rate: one percentage point."""

_SIZES = 60
_GIB = 1 << 30
_NO_HITS = "an unlimited cache hits nothing"
DEFINITIONS = ("block", "token", "per_request_mean", "steady")


@memoize
def lru_curve(observation: Observation) -> LruCurve:
    """The LRU cache at every size."""
    return LruCurve.of(observation.plain_accesses)


@memoize
def knee_blocks(observation: Observation) -> int | None:
    """The smallest cache (blocks) within one point of the ideal; None if an unlimited cache hits nothing."""
    ceiling = int(observation.plain_accesses.ideal_hit_blocks().sum())
    return lru_curve(observation).knee(ceiling, WITHIN) if ceiling else None


@memoize
def capacity_table(observation: Observation) -> dict[str, list[Any]]:
    """One row per cache size, as columns: about sixty sizes, evenly spaced by ratio, and the run's own.

    `blocks`, `tokens` and, if the engine knows its model, `gib`. Then the hit rates of the LRU cache (`lru_*`) and of
    Belady's optimum (`opt_*`) in four definitions. There are no rows if no request completed.
    """
    accesses, counters = observation.plain_accesses, observation.counters
    sizes: Int64s = np.empty(0, np.int64)
    if accesses.num_requests:
        curve = lru_curve(observation)
        spaced = np.geomspace(curve.smallest, max(2 * curve.largest, curve.smallest + 1), _SIZES).astype(np.int64)
        own = [size for size in (observation.plain_blocks, curve.largest, knee_blocks(observation)) if size is not None]
        sizes = np.unique(np.concatenate([spaced, [size for size in own if size >= curve.smallest]]).astype(np.int64))
        sizes = sizes[sizes <= 2 * curve.largest + 1]
    columns: dict[str, list[Any]] = {"blocks": sizes.tolist(), "tokens": (sizes * accesses.block_size).tolist()}
    if counters.kv_bytes_per_token is not None:
        columns["gib"] = [gib(observation, size) for size in sizes.tolist()]
    lru = lru_curve(observation).rates(sizes) if len(sizes) else None
    opt = opt_rates(accesses, sizes) if len(sizes) else None
    give_back(accesses.blocks)
    for name, found in (("lru", lru), ("opt", opt)):
        for definition in DEFINITIONS:
            columns[f"{name}_{definition}_rate"] = [] if found is None else column(found, definition)
    return columns


def points_table(requests: Sequence[Request], runs: Sequence[EngineRun]) -> dict[str, list[Any]]:
    """One row per run of `engine.at_gib` or `engine.sim_at`, as columns.

    `gib` is the memory of the run's blocks. The rates are those of the completed requests. `lru_token_rate`: what the
    layers that keep all tokens would hit with this memory to themselves, one request at a time, with LRU eviction.
    """
    rows = [_point(Observation.of(requests, run)) for run in runs]
    return {name: [row[name] for row in rows] for name in rows[0]} if rows else {}


def _point(observation: Observation) -> dict[str, Any]:
    counters, layout = observation.counters, observation.counters.layout
    size = observation.plain_blocks
    curve = lru_curve(observation)
    known = observation.completed and size >= curve.smallest
    return {
        "gib": None if layout is None else layout.gib,
        "blocks": counters.num_blocks,
        "plain_blocks": size,
        "completed": len(observation.completed),
        "rejected": len(observation.records) - len(observation.completed),
        "token_rate": first_prefill_tokens(observation).value,
        "block_rate": first_prefill(observation).value,
        "later_turns_rate": later_turns(observation).value,
        "lru_token_rate": float(curve.rates([size]).token[0]) if known else None,
    }


def column(found: Rates, definition: str) -> list[float]:
    """The hit rates in one of DEFINITIONS, one per size."""
    values: list[float] = getattr(found, definition.removesuffix("_mean")).tolist()
    return values


def gib(observation: Observation, blocks: int | None) -> float | None:
    """The size of this many blocks in GiB; None if the engine does not know its model."""
    bytes_per_token = observation.counters.kv_bytes_per_token
    if blocks is None or bytes_per_token is None:
        return None
    return blocks * observation.plain_accesses.block_size * bytes_per_token / _GIB


def opt(observation: Observation) -> Ratio:
    """Blocks that Belady's optimum hits with as many blocks as the engine has, of full prompt blocks."""
    hits = opt_hit_blocks(observation.plain_accesses, [observation.plain_blocks])
    return Ratio(int(hits.sum()), int(observation.plain_accesses.prompt_blocks.sum()))


def _knee_tokens(observation: Observation) -> float | None:
    blocks = knee_blocks(observation)
    return None if blocks is None else float(blocks * observation.plain_accesses.block_size)


def _whole(value: int | None) -> float | None:
    return None if value is None else float(value)


def _largest(observation: Observation) -> float | None:
    return float(lru_curve(observation).largest) if knee_blocks(observation) is not None else None


METRICS = (
    Metric(
        "hit_rate/opt",
        "ratio",
        "Block hit rate of Belady's optimum with as many blocks as the engine has: no eviction policy hits more.",
        lambda observation: opt(observation).value,
        NO_BLOCK,
    ),
    Metric(
        "capacity/knee_blocks",
        "blocks",
        "Smallest LRU cache whose block hit rate is within 0.01 of hit_rate/ideal, one request at a time.",
        lambda observation: _whole(knee_blocks(observation)),
        _NO_HITS,
    ),
    Metric(
        "capacity/knee_tokens",
        "tokens",
        "capacity/knee_blocks in tokens: times the block size.",
        _knee_tokens,
        _NO_HITS,
    ),
    Metric(
        "capacity/knee_gib",
        "GiB",
        "capacity/knee_blocks in GiB of the model that engine.kv_model describes.",
        lambda observation: gib(observation, knee_blocks(observation)),
        f"{_NO_HITS}, or the engine does not know the KV size of its model",
    ),
    Metric(
        "capacity/enough_blocks",
        "blocks",
        "Smallest LRU cache that hits as many blocks as an unlimited cache, one request at a time.",
        _largest,
        _NO_HITS,
    ),
)
