"""Published numbers: made anew where the trace is at hand, and single-block caches worked by hand."""

from pathlib import Path

import numpy as np
import pytest

from cachelab.dataset.block_trace import BlockTrace
from cachelab.engine.replay import ReplayEngine
from cachelab.metrics.base import measure
from cachelab.metrics.observation import Observation
from cachelab.metrics.reference_results import METRICS, REFERENCE_RESULTS
from cachelab.order.by_arrival import ByArrival
from cachelab.trace.multi_turn import MultiTurn


def observed(path: Path, block_size: int) -> Observation:
    loaded = BlockTrace(path=str(path), block_size=block_size).load()
    requests = MultiTurn().build(loaded.conversations).requests  # type: ignore[arg-type]
    return Observation.of(requests, ReplayEngine().run(ByArrival().arrange(requests), lambda ended: None))


def test_published_numbers_come_out_of_the_mooncake_trace(mooncake: Path) -> None:
    observation = observed(mooncake, 512)
    values = measure(METRICS, observation).values
    verdicts = [
        claim.holds(observation, values[claim.metric.name])
        for claim in REFERENCE_RESULTS
        if claim.metric.name in values
    ]
    assert (verdicts.count(True), verdicts.count(False)) == (21, 0)
    assert values["published/failed"] == 0
    assert values["published/prefix_lru_16k_tokens"] == pytest.approx(0.0454, abs=5e-5)
    assert values["published/object_lru_16k_tokens"] == pytest.approx(0.0359, abs=5e-5)


def test_published_numbers_of_another_trace_are_not_judged(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"input_length": 8, "output_length": 1, "hash_ids": [1, 2]}\n' * 4)
    observation = observed(path, 4)
    values = measure(METRICS, observation).values
    assert values["published/requests"] == 4
    assert values["published/failed"] == 0
    assert {claim.holds(observation, 0.0) for claim in REFERENCE_RESULTS} == {None}


def test_object_cache_worked_by_hand() -> None:
    from cachelab.prefix_cache.kernels.object_cache import object_cache

    # a = 0 1, b = 2, a, a in two slots. LRU: after b the line is 1 2 (0, put in first, is gone): a hits nothing, and
    # nothing of its 1 counts since 0 is missing; then both. FIFO the same here. With b again and again 0 stays gone.
    blocks, offsets = np.asarray([0, 1, 2, 0, 1, 0, 1], np.int32), np.asarray([0, 2, 3, 5, 7])
    assert object_cache(blocks, offsets, 3, 2, True).tolist() == [0, 0, 0, 2]
    # first in, first out: 0 1 | 0 is hit but stays the oldest, 2 pushes it out
    blocks, offsets = np.asarray([0, 1, 0, 2, 0], np.int32), np.asarray([0, 2, 3, 4, 5])
    assert object_cache(blocks, offsets, 3, 2, False).tolist() == [0, 1, 0, 0]
    assert object_cache(blocks, offsets, 3, 2, True).tolist() == [0, 1, 0, 1]
