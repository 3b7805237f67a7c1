"""Published numbers: made anew where the trace is at hand, and single-block caches worked by hand."""

import json
from pathlib import Path

import numpy as np
import pytest

from cachelab.dataset.block_trace import BlockTrace
from cachelab.dataset.claude_code import ClaudeCode
from cachelab.engine.replay import ReplayEngine
from cachelab.metrics import repeated
from cachelab.metrics.base import measure
from cachelab.metrics.observation import Observation
from cachelab.metrics.reference_results import METRICS, REFERENCE_RESULTS
from cachelab.metrics.repeated import repeated_shares
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


def sessions(folder: Path, **options: object) -> Observation:
    loaded = ClaudeCode(path=str(folder), **options).load()  # type: ignore[arg-type]
    requests = MultiTurn().build(loaded.conversations).requests  # type: ignore[arg-type]
    return Observation.of(requests, ReplayEngine().run(ByArrival().arrange(requests), lambda ended: None))


def test_repeated_shares_worked_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def call(t: int, *ids: int) -> dict[str, object]:
        return {"type": "n", "t": t, "model": "m", "in": 4 * len(ids), "out": 1, "hash_ids": ids}

    head = {"block_size": 4, "hash_id_scope": "local"}
    inner = {"type": "subagent", "t": 1, "agent_id": "x", "requests": [call(0, 9), call(1, 8)]}
    # of 3 + 4 blocks the request before had 2 + 1: the fourth stands behind another one; the sub-agent does not count
    first = {"id": "a", "requests": [call(0, 1, 2), call(2, 1, 2, 3), call(4, 1, 5, 3, 4), inner], **head}
    second = {"id": "b", "requests": [call(1, 1), call(3, 1, 2)], **head}
    alone = {"id": "c", "requests": [call(0, 1, 2)], **head}
    for document in (first, second, alone):
        (tmp_path / f"{document['id']}.json").write_text(json.dumps(document))
    observation = sessions(tmp_path)
    assert repeated_shares(observation).tolist() == [3 / 7, 1 / 2]
    names = [claim.metric.name for claim in REFERENCE_RESULTS if claim.name.startswith("claude_code")]
    assert len(names) == 6
    assert not measure(METRICS, observation).values.keys() & set(names)  # it is not the published set
    monkeypatch.setattr(repeated, "_CLAUDE_CODE_SIZE", (8, 3))
    values = measure(METRICS, observation).values
    assert values["published/claude_code_repeated_min"] == 3 / 7
    assert values["published/claude_code_repeated_mean"] == (3 / 7 + 1 / 2) / 2
    assert values["published/failed"] == 6


def test_repeated_shares_of_the_real_sessions(agent_traces: Path) -> None:
    shares = repeated_shares(sessions(agent_traces / "claude_code"))
    # counted anew on the raw files, main agents only
    assert np.percentile(shares, [0, 25, 50, 75, 100]) == pytest.approx(
        [0.7556, 0.9191, 0.9619, 0.9786, 0.9921], abs=5e-5
    )
    assert (len(shares), shares.mean()) == (31, pytest.approx(0.9412, abs=5e-5))


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
