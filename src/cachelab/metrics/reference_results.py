"""Reference results: published numbers of public traces, and the functions that compute them again."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cachelab.metrics.base import NEVER, Metric
from cachelab.metrics.capacity import lru_curve
from cachelab.metrics.hits import Int64s
from cachelab.metrics.ideal import ideal_steady
from cachelab.metrics.observation import Observation
from cachelab.metrics.repeated import Float64s, is_claude_code, repeated_shares
from cachelab.prefix_cache.hit_rate_curve import opt_hit_blocks, rates

_TENTH = 0.001  # published rates are percentages with one decimal: a tenth of a point is within rounding
_POINT = 0.01  # percentages without a decimal: one point is within rounding
_MOONCAKE = (12_031, 288_500)
"""Requests and listed blocks of Mooncake's conversation trace (kvcache-ai/Mooncake, FAST'25 release)."""


@dataclass(frozen=True, slots=True)
class ReferenceResult:
    """A published number and the function that computes it again.

    `published` is None for a number that was not published; it is shown for comparison with the one before it.
    `tolerance` is in the number's own unit. `source` returns whether a run is of the published data (None: whether it
    is of Mooncake's trace, or counted by vLLM's rules).
    """

    name: str
    unit: str
    what: str
    published: float | None
    tolerance: float
    compute: Callable[[Observation], float | None]
    source: Callable[[Observation], bool] | None = None

    @property
    def metric(self) -> Metric:
        return Metric(f"published/{self.name}", self.unit, f"{self.what}.", self.compute, "this is another trace")

    def holds(self, observation: Observation, value: float) -> bool | None:
        """Whether the value equals the published one; None for another trace, or if nothing was published."""
        is_source = self.source or _is_mooncake_or_chats
        if self.published is None or not is_source(observation):
            return None
        return abs(value - self.published) <= self.tolerance + 1e-12


def _is_mooncake(observation: Observation) -> bool:
    return (len(observation.requests), len(observation.accesses.blocks)) == _MOONCAKE


def _is_mooncake_or_chats(observation: Observation) -> bool:
    return _is_mooncake(observation) or observation.counters.rules == "vllm"


def _of_trace(compute: Callable[[Observation], float | None]) -> Callable[[Observation], float | None]:
    return lambda observation: compute(observation) if observation.counters.rules == "trace" else None


def _steady(observation: Observation, hit_blocks: Int64s) -> float | None:
    value = float(rates(observation.accesses, hit_blocks[None]).steady[0])
    return None if np.isnan(value) else value


def _objects(observation: Observation, size: int, *, by_use: bool) -> float | None:
    from cachelab.prefix_cache.kernels.object_cache import object_cache

    accesses = observation.accesses
    return _steady(observation, object_cache(accesses.blocks, accesses.offsets, accesses.num_ids, size, by_use))


def _object_lru(size: int) -> Callable[[Observation], float | None]:
    return _of_trace(lambda observation: _objects(observation, size, by_use=True))


def _fifo(size: int) -> Callable[[Observation], float | None]:
    return _of_trace(lambda observation: _objects(observation, size, by_use=False))


def _lru(size: int) -> Callable[[Observation], float | None]:
    return _of_trace(lambda observation: float(lru_curve(observation).rates([size]).steady[0]))


def _opt(size: int) -> Callable[[Observation], float | None]:
    return _of_trace(lambda observation: _steady(observation, opt_hit_blocks(observation.accesses, [size])[0]))


def _multi_turn(observation: Observation) -> float | None:
    if observation.counters.rules == "trace" or not observation.requests:
        return None
    turns: dict[str, int] = {}
    for request in observation.requests.values():
        turns[request.conversation_id] = max(turns.get(request.conversation_id, 0), request.turn_index)
    return float(np.mean([last > 0 for last in turns.values()]))


def _by_size(tokens: int, percent: float) -> tuple[ReferenceResult, ReferenceResult]:
    blocks, text = tokens // 512, f"{tokens >> 10}k"
    return (
        ReferenceResult(
            f"object_lru_{text}_tokens",
            "ratio",
            f"Last half, LRU of single blocks, {tokens:,} tokens",
            percent / 100,
            _TENTH,
            _object_lru(blocks),
        ),
        ReferenceResult(
            f"prefix_lru_{text}_tokens",
            "ratio",
            f"Last half, LRU of prefixes (last block first), {tokens:,} tokens",
            None,
            0.0,
            _lru(blocks),
        ),
    )


def _by_policy(size: int, *percents: float) -> tuple[ReferenceResult, ...]:
    policies = (("fifo", "FIFO of single blocks", _fifo), ("lru", "LRU of prefixes", _lru), ("opt", "optimum", _opt))
    return tuple(
        ReferenceResult(
            f"{key}_{size}_blocks",
            "ratio",
            f"Last half, {words}, {size:,} blocks",
            percent / 100,
            _TENTH,
            make(size),
        )
        for (key, words, make), percent in zip(policies, percents, strict=True)
    )


def _repeated(name: str, words: str, percent: float, of_shares: Callable[[Float64s], float]) -> ReferenceResult:
    def compute(observation: Observation) -> float | None:
        return of_shares(repeated_shares(observation)) if is_claude_code(observation) else None

    what = f"Claude Code sessions, share of blocks that the next request repeats, {words}"
    return ReferenceResult(
        f"claude_code_repeated_{name}", "ratio", what, percent / 100, _POINT, compute, is_claude_code
    )


_CLAUDE_CODE = (
    _repeated("min", "minimum", 61, lambda shares: float(shares.min())),
    _repeated("p25", "first quartile", 92, lambda shares: float(np.percentile(shares, 25))),
    _repeated("p50", "median", 96, lambda shares: float(np.percentile(shares, 50))),
    _repeated("p75", "third quartile", 97, lambda shares: float(np.percentile(shares, 75))),
    _repeated("max", "maximum", 100, lambda shares: float(shares.max())),
    _repeated("mean", "mean", 93, lambda shares: float(shares.mean())),
)

REFERENCE_RESULTS: tuple[ReferenceResult, ...] = (
    ReferenceResult("requests", "requests", "Requests", 12_031, 0, _of_trace(lambda run: float(len(run.requests)))),
    ReferenceResult(
        "mean_input", "tokens", "Mean prompt", 12_035, 0.5, _of_trace(lambda run: float(np.mean(run.prompt_tokens)))
    ),
    ReferenceResult(
        "ceiling",
        "ratio",
        "Last half, unlimited cache",
        0.398,
        _TENTH,
        _of_trace(lambda run: ideal_steady(run).value),
    ),
    *_by_size(16 << 10, 3.6),
    *_by_size(64 << 10, 4.5),
    *_by_size(256 << 10, 4.5),
    *_by_size(1 << 20, 5.6),
    *_by_size(4 << 20, 18.8),
    *_by_size(16 << 20, 35.6),
    *_by_policy(1_409, 4.8, 4.9, 23.0),
    *_by_policy(5_637, 12.2, 13.1, 37.3),
    *_by_policy(11_275, 19.6, 23.3, 39.8),
    *_by_policy(22_550, 27.8, 31.7, 39.8),
    ReferenceResult(
        "sharegpt_multi_turn", "ratio", "ShareGPT conversations of two or more turns", 0.73, 0.03, _multi_turn
    ),
    *_CLAUDE_CODE,
)


def _failed(observation: Observation) -> float:
    values = [(result, result.compute(observation)) for result in REFERENCE_RESULTS]
    return float(sum(value is not None and result.holds(observation, value) is False for result, value in values))


METRICS = (
    *(result.metric for result in REFERENCE_RESULTS),
    Metric("published/failed", "numbers", "Published numbers that this run does not reproduce.", _failed, NEVER),
)
