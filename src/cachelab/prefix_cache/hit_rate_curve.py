"""Hit-rate curves: the hits of a workload at every cache size."""

import math
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from cachelab.prefix_cache.accesses import BlockAccesses, Int64s, lru_hit_blocks, lru_reaches

Floats = npt.NDArray[np.float64]

REQUEST, PREVIOUS, DISTANCE, LENGTH = range(4)
"""Columns of a table of reuse runs (see kernels/reuse_distance.py)."""

_BYTES = 1 << 28
"""The caches that are simulated at the same time take at most so much memory. One alone may take more."""


@dataclass(frozen=True, slots=True, eq=False)
class Rates:
    """Hit rates at several cache sizes in four definitions. float64, shape of each: (num_sizes,).

    `block`: hit blocks / prompt blocks. `token`: cached tokens / prompt tokens. `per_request`: the mean over the
    requests of cached tokens / prompt tokens. `steady`: like `token`, over the last 50 % of the requests.
    """

    block: Floats
    token: Floats
    per_request: Floats
    steady: Floats


def rates(accesses: BlockAccesses, hit_blocks: Int64s) -> Rates:
    """The hit rates that belong to numbers of hit blocks. Shape of hit_blocks: (num_sizes, num_requests)."""
    cached = accesses.cached_tokens(hit_blocks)
    tokens = accesses.prompt_tokens
    half = accesses.num_requests // 2
    with np.errstate(invalid="ignore"):
        return Rates(
            block=hit_blocks.sum(axis=1) / accesses.prompt_blocks.sum(),
            token=cached.sum(axis=1) / tokens.sum(),
            per_request=(cached / tokens).sum(axis=1) / np.float64(accesses.num_requests),
            steady=cached[:, half:].sum(axis=1) / tokens[half:].sum(),
        )


@dataclass(frozen=True, eq=False)
class LruCurve:
    """The hits of an LRU cache, exact at every size.

    `runs`: int64, shape (num_runs, 4): the reuse runs (see kernels/reuse_distance.py), which hold for every size. None:
    each requested size is simulated.
    """

    accesses: BlockAccesses
    runs: Int64s | None

    @classmethod
    def of(cls, accesses: BlockAccesses) -> "LruCurve":
        """One pass for all sizes. The curve has no runs if requests compute blocks that the cache already holds.

        The cache then holds two copies of a block, and which of them is used later depends on the size.
        """
        from cachelab.prefix_cache.kernels.reuse_distance import reuse_runs

        runs, copies = reuse_runs(*accesses.cache_arguments)
        return cls(accesses, None if copies else runs)

    @property
    def smallest(self) -> int:
        """The smallest size (blocks) that can hold each request alone; 1 by the rules of block traces."""
        return _smallest(self.accesses)

    @cached_property
    def largest(self) -> int:
        """The smallest size (blocks) that hits as much as an unlimited cache."""
        if self.runs is not None:
            return max(int((self.runs[:, DISTANCE] + self.runs[:, LENGTH] - 1).max(initial=1)), self.smallest)
        return self.knee(int(self._ideal.sum()), 0.0)

    def hit_blocks(self, sizes: npt.ArrayLike) -> Int64s:
        """Hit blocks of all requests together at each size (blocks). int64, shape (num_sizes,)."""
        if self.runs is None:
            return np.asarray([hits.sum() for hits in _simulated(self.accesses, self._lru, sizes)], np.int64)
        hits: Int64s = _sums(self.accesses, self.runs, sizes, None, None)
        return hits

    def rates(self, sizes: npt.ArrayLike) -> Rates:
        """The hit rates at each size (blocks)."""
        if self.runs is None:
            return _rates_of(self.accesses, _simulated(self.accesses, self._lru, sizes))
        accesses, runs, n = self.accesses, self.runs, self.accesses.num_requests
        share = accesses.block_size / accesses.prompt_tokens
        later = np.arange(n) >= n // 2
        # a prompt's last block can be partial: this many of its places hold no token
        spare = np.maximum(accesses.prompt_blocks * accesses.block_size - accesses.prompt_tokens, 0)
        blocks = _sums(accesses, runs, sizes, None, None)
        tokens = _sums(accesses, runs, sizes, np.full(n, accesses.block_size), spare)
        steady = _sums(accesses, runs, sizes, later * accesses.block_size, later * spare)
        mean = _sums(accesses, runs, sizes, share, spare / accesses.prompt_tokens)
        with np.errstate(invalid="ignore"):
            return Rates(
                block=blocks / accesses.prompt_blocks.sum(),
                token=tokens / accesses.prompt_tokens.sum(),
                per_request=mean / np.float64(n),
                steady=steady / accesses.prompt_tokens[later].sum(),
            )

    def knee(self, ceiling: int, within: float) -> int:
        """The smallest size (blocks) whose hits are at most `within` of all prompt blocks below `ceiling` (blocks)."""
        wanted = math.ceil(ceiling - within * float(self.accesses.prompt_blocks.sum()))
        low, high = self.smallest, max(len(self.accesses.blocks) + 2, self.smallest)
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self._reaches(middle, wanted) else (middle + 1, high)
        return low

    def _reaches(self, size: int, wanted: int) -> bool:
        """Whether a cache of `size` blocks hits at least `wanted` blocks."""
        if self.runs is not None:
            return bool(self.hit_blocks([size])[0] >= wanted)
        if size >= self._never_full:
            return bool(self._ideal.sum() >= wanted)
        return lru_reaches(self.accesses, size, self._ideal, wanted)

    def _lru(self, size: int) -> Int64s:
        return self._ideal if size >= self._never_full else lru_hit_blocks(self.accesses, size)

    @cached_property
    def _ideal(self) -> Int64s:
        return self.accesses.ideal_hit_blocks()

    @cached_property
    def _never_full(self) -> int:
        """A size (blocks) from which on nothing is evicted: every request has blank slots for what it computes."""
        computed = np.diff(self.accesses.offsets) - self._ideal
        return int(computed.sum() + self.accesses.tails.max(initial=0))


def opt_hit_blocks(accesses: BlockAccesses, sizes: npt.ArrayLike) -> Int64s:
    """Hit blocks of each request under Belady's optimum at each size (blocks). Shape: (num_sizes, num_requests)."""
    found = list(_optimal(accesses, sizes))
    return np.stack(found) if found else np.zeros((0, accesses.num_requests), np.int64)


def opt_rates(accesses: BlockAccesses, sizes: npt.ArrayLike) -> Rates:
    """The hit rates of Belady's optimum at each size (blocks)."""
    return _rates_of(accesses, _optimal(accesses, sizes))


def _optimal(accesses: BlockAccesses, sizes: npt.ArrayLike) -> Iterator[Int64s]:
    from cachelab.prefix_cache.kernels.belady import optimal_hits
    from cachelab.prefix_cache.kernels.reuse_distance import reuse_runs

    rows, _ = reuse_runs(*accesses.cache_arguments)
    return _simulated(accesses, lambda size: optimal_hits(rows, accesses.num_requests, size), sizes)


def _simulated(accesses: BlockAccesses, hits_at: Callable[[int], Int64s], sizes: npt.ArrayLike) -> Iterator[Int64s]:
    """The hit blocks of all requests at each size (blocks), in order. The sizes are simulated in threads."""
    listed = np.asarray(sizes, np.int64).tolist()
    slots = min(max(listed, default=1), len(accesses.blocks) + accesses.most_slots)
    of_one = 4 * (6 * slots + 2 * accesses.num_ids) + 8 * accesses.num_requests  # see kernels/lru.py
    with ThreadPoolExecutor(min(os.cpu_count() or 1, max(_BYTES // max(of_one, 1), 1))) as pool:
        yield from pool.map(hits_at, listed)


def _rates_of(accesses: BlockAccesses, hit_blocks: Iterable[Int64s]) -> Rates:
    """The hit rates at several sizes, of which one at a time is in memory."""
    found = [rates(accesses, hits[np.newaxis]) for hits in hit_blocks]
    names = [field.name for field in fields(Rates)]
    return Rates(*(np.concatenate([np.empty(0), *(getattr(one, name) for one in found)]) for name in names))


def _sums(accesses: BlockAccesses, runs: Int64s, sizes: npt.ArrayLike, weight: Any, spare: Any) -> Any:
    """The summed weights of the hit blocks at each size, minus the unused places of prompts' last blocks.

    `weight` per block and `spare` per request, both of shape (num_requests,). Result: shape (num_sizes,).
    """
    sizes = np.asarray(sizes, np.int64)
    start, end = runs[:, DISTANCE], runs[:, DISTANCE] + runs[:, LENGTH]
    weights = np.ones(len(runs), np.int64) if weight is None else weight[runs[:, REQUEST]]
    # A run adds min(size - start + 1, length) blocks: one ramp upwards from its start, one back from its end.
    sums = _ramps(start, weights, sizes) - _ramps(end, weights, sizes)
    if spare is not None and spare.any():
        last = np.flatnonzero(np.diff(runs[:, REQUEST], append=-1))
        hit = np.add.reduceat(runs[:, LENGTH], np.concatenate([[0], last[:-1] + 1])) if len(last) else last
        request = runs[last, REQUEST]
        whole = hit == accesses.prompt_blocks[request]
        sums = sums - _steps(end[last][whole] - 1, spare[request[whole]], sizes)
    return sums


def _ramps(starts: Int64s, weights: Any, sizes: Int64s) -> Any:
    """At each size the sum of weight * (size - start + 1) over all starts up to it. Shape: (num_sizes,)."""
    order = np.argsort(starts, kind="stable")
    starts, weights = starts[order], weights[order]
    zero = np.zeros(1, weights.dtype)
    heights = np.concatenate([zero, np.cumsum(weights)])
    moments = np.concatenate([zero, np.cumsum(weights * (starts - 1))])
    begun = np.searchsorted(starts, sizes, side="right")
    return heights[begun] * sizes - moments[begun]


def _steps(starts: Int64s, weights: Any, sizes: Int64s) -> Any:
    """At each size the sum of the weights of all starts up to it. Shape: (num_sizes,)."""
    order = np.argsort(starts, kind="stable")
    heights = np.concatenate([np.zeros(1, weights.dtype), np.cumsum(weights[order])])
    return heights[np.searchsorted(starts[order], sizes, side="right")]


def _smallest(accesses: BlockAccesses) -> int:
    return 1 if accesses.rules == "trace" else max(accesses.most_slots, 1)
