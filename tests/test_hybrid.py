"""experiment=hybrid reproduces what a user of vLLM measured (vllm#48435): windows cost most of the cache."""

from collections.abc import Sequence
from pathlib import Path

import pytest

import cachelab

SHARES: dict[int, tuple[tuple[float, float], tuple[float, float]]] = {
    # number of chats: share of the prompt tokens cached in turns 1 and 2, plain layers, then windows
    2: ((0.994, 0.994), (0.992, 0.992)),
    8: ((0.994, 0.994), (0.992, 0.992)),
    9: ((0.994, 0.994), (0.0, 0.0)),
    18: ((0.994, 0.994), (0.0, 0.0)),
    19: ((0.979, 0.855), (0.0, 0.0)),
    20: ((0.023, 0.0), (0.0, 0.0)),
}


def hybrid(folder: Path, *overrides: str) -> cachelab.Result:
    fixed = ["experiment=hybrid", "tracking=none", "artifacts=[]", f"hydra.run.dir={folder}"]
    return cachelab.run(*fixed, *overrides)


def shares(result: cachelab.Result) -> list[float]:
    later = result.requests[result.requests["turn_index"] > 0].groupby("turn_index")
    cached: Sequence[float] = (later["cached_tokens"].sum() / later["prompt_tokens"].sum()).tolist()
    return list(cached)


@pytest.mark.parametrize("chats", SHARES)
def test_reuse_of_chats_in_turn(chats: int, tmp_path: Path) -> None:
    plain, windows = SHARES[chats]
    number = f"dataset.num_conversations={chats}"
    assert shares(hybrid(tmp_path / "plain", number, "engine.layers=null")) == pytest.approx(plain, abs=5e-4)
    found = hybrid(tmp_path / "windows", number)
    assert shares(found) == pytest.approx(windows, abs=5e-4)
    values = found.metrics
    assert values["engine/kv_groups"] == 6
    # from 9 to 18 chats full-attention layers alone would hit what the windows lose
    if 9 <= chats <= 18:
        assert values["losses/reused"] == 0
        assert values["losses/layout"] == pytest.approx(0.66, abs=0.01)
    assert sum(value for name, value in values.items() if name.startswith("losses/")) == pytest.approx(1.0)
