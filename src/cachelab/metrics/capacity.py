"""The cache at every size: what the run's requests would hit, in the order of their first prefills, one at a time."""

from typing import Any

import numpy as np

from cachelab.metrics.base import Metric, Ratio
from cachelab.metrics.hits import Int64s
from cachelab.metrics.observation import Observation, memoize
from cachelab.prefix_cache.hit_rate_curve import LruCurve, Rates, opt_hit_blocks, rates

WITHIN = 0.01
"""How near to the ceiling the knee is: one point of the hit rate."""

_SIZES = 60
_GIB = 1 << 30
DEFINITIONS = ("block", "token", "per_request_mean", "steady")


@memoize
def lru_curve(observation: Observation) -> LruCurve:
    """The least recently used cache at every size."""
    return LruCurve.of(observation.accesses)


@memoize
def knee_blocks(observation: Observation) -> int | None:
    """The smallest cache within one point of the ceiling; None where nothing can be hit."""
    ceiling = int(observation.accesses.ideal_hit_blocks().sum())
    return lru_curve(observation).knee(ceiling, WITHIN) if ceiling else None


@memoize
def capacity_table(observation: Observation) -> dict[str, list[Any]]:
    """A row for each of about sixty sizes, evenly spaced by ratio and the run's own among them, as columns.

    `blocks`, `tokens` and, where the engine knows its model, `gib`; then the hit rates of the least recently used cache
    (`lru_*`) and of Belady's optimum (`opt_*`) in four definitions. No rows where nothing completed.
    """
    accesses, counters = observation.accesses, observation.counters
    sizes: Int64s = np.empty(0, np.int64)
    if accesses.num_requests:
        curve = lru_curve(observation)
        spaced = np.geomspace(curve.smallest, max(2 * curve.largest, curve.smallest + 1), _SIZES).astype(np.int64)
        own = [size for size in (counters.num_blocks, curve.largest, knee_blocks(observation)) if size is not None]
        sizes = np.unique(np.concatenate([spaced, [size for size in own if size >= curve.smallest]]).astype(np.int64))
        sizes = sizes[sizes <= 2 * curve.largest + 1]
    columns: dict[str, list[Any]] = {"blocks": sizes.tolist(), "tokens": (sizes * counters.block_size).tolist()}
    if counters.kv_bytes_per_token is not None:
        columns["gib"] = [gib(observation, size) for size in sizes.tolist()]
    lru = lru_curve(observation).rates(sizes) if len(sizes) else None
    opt = rates(accesses, opt_hit_blocks(accesses, sizes)) if len(sizes) else None
    for name, found in (("lru", lru), ("opt", opt)):
        for definition in DEFINITIONS:
            columns[f"{name}_{definition}_rate"] = [] if found is None else column(found, definition)
    return columns


def column(found: Rates, definition: str) -> list[float]:
    """The rates in one of DEFINITIONS."""
    values: list[float] = getattr(found, definition.removesuffix("_mean")).tolist()
    return values


def gib(observation: Observation, blocks: int | None) -> float | None:
    """What so many blocks take; None where the engine does not know its model."""
    bytes_per_token = observation.counters.kv_bytes_per_token
    if blocks is None or bytes_per_token is None:
        return None
    return blocks * observation.counters.block_size * bytes_per_token / _GIB


def opt(observation: Observation) -> Ratio:
    """In blocks: what Belady's rule hits with as many blocks as the engine has, of all prompt blocks."""
    hits = opt_hit_blocks(observation.accesses, [observation.counters.num_blocks])
    return Ratio(int(hits.sum()), int(observation.full_blocks.sum()))


def _knee_tokens(observation: Observation) -> float | None:
    blocks = knee_blocks(observation)
    return None if blocks is None else float(blocks * observation.counters.block_size)


def _whole(value: int | None) -> float | None:
    return None if value is None else float(value)


def _largest(observation: Observation) -> float | None:
    return float(lru_curve(observation).largest) if knee_blocks(observation) is not None else None


METRICS = (
    Metric(
        "hit_rate/opt",
        "ratio",
        "Block hit rate of Belady's optimum with as many blocks as the engine has: no choice of blocks hits more.",
        lambda observation: opt(observation).value,
    ),
    Metric(
        "capacity/knee_blocks",
        "blocks",
        "Smallest LRU cache whose block hit rate is within 0.01 of hit_rate/ideal, one request at a time.",
        lambda observation: _whole(knee_blocks(observation)),
    ),
    Metric(
        "capacity/knee_tokens",
        "tokens",
        "capacity/knee_blocks in tokens: times the block size.",
        _knee_tokens,
    ),
    Metric(
        "capacity/knee_gib",
        "GiB",
        "capacity/knee_blocks in GiB of the model that engine.kv_model describes.",
        lambda observation: gib(observation, knee_blocks(observation)),
    ),
    Metric(
        "capacity/enough_blocks",
        "blocks",
        "Smallest LRU cache that hits as much as an infinite one, one request at a time.",
        _largest,
    ),
)
