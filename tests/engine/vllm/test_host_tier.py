"""The host tier of the simulator: vLLM's own KV offloading, its transfers done at once."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachelab.engine.base import EngineRun
from cachelab.engine.sim import SimEngine
from cachelab.errors import ConfigError
from cachelab.model.kv_model import KvModel
from cachelab.order.by_turn import ByTurn
from cachelab.request import Request, Schedule
from workloads import conversation, one_lane, random_requests, request

ENDLESS: dict[str, Any] = {"host_cache_gib": 64.0, "offload_prompt_only": False}


def run(schedule: Schedule, **settings_: Any) -> EngineRun:
    engine = SimEngine(**({"block_size": 4, "max_model_len": 200, "max_num_seqs": 1, "num_blocks": 51} | settings_))
    return engine.run(schedule, lambda ended: None)


def tiers(result: EngineRun) -> list[tuple[int, int]]:
    return [(record.cached_tokens, record.host_cached_tokens) for record in result.records]


def test_kv_model_of_llama_takes_32_kib_a_token() -> None:
    # keys and values (2) x 16 layers x 8 heads x 64 numbers x 2 bytes
    assert KvModel().bytes_per_token == 2 * 16 * 8 * 64 * 2 == 32_768


@pytest.mark.parametrize(("gib", "block_size", "blocks"), [(1.0, 8, 4096), (0.5, 16, 1024), (0.001, 4, 8)])
def test_host_tier_holds_as_many_blocks_as_its_gib_say(gib: float, block_size: int, blocks: int) -> None:
    # 1 GiB / (8 tokens x 32 KiB) = 4,096; 0.001 GiB = 1,073,741 bytes / (4 x 32,768) = 8.19
    result = run(one_lane([request("a", 0, range(9), [1])]), block_size=block_size, host_cache_gib=gib)
    assert result.counters.num_host_blocks == blocks


def test_host_tier_follows_the_model_given() -> None:
    # 1 layer, 1 head of 32 float32 numbers: 256 bytes a token, 1,024 a block of 4, which vLLM rounds up to 4,096
    small = KvModel(num_layers=1, num_kv_heads=1, head_size=32, dtype="float32")
    result = run(one_lane([request("a", 0, range(9), [1])]), kv_model=small, host_cache_gib=2.0**-14)
    assert result.counters.num_host_blocks == 2**16 // 4096


def test_host_tier_off_leaves_no_trace() -> None:
    counters = run(one_lane([request("a", 0, range(9), [1])])).counters
    assert (counters.host_queries_tokens, counters.host_hits_tokens, counters.num_host_blocks) == (None, None, None)


def test_host_tier_gives_back_what_the_cache_evicted() -> None:
    # 3 usable blocks of 4: a's 2 prompt blocks are evicted by b and come back from the host, the second one too, of
    # which a local hit would not be allowed to cover the last token
    a, b = request("a", 0, range(8), [1, 2, 3]), request("b", 0, range(100, 108), [1, 2, 3])
    again = request("a2", 0, range(8), [1, 2, 3])
    small = {"max_model_len": 12, "num_blocks": 4}
    assert tiers(run(one_lane([a, b, again]), **small)) == [(0, 0), (0, 0), (0, 0)]
    result = run(one_lane([a, b, again]), **small, host_cache_gib=1.0)
    assert tiers(result) == [(0, 0), (0, 0), (0, 8)]
    assert (result.counters.host_queries_tokens, result.counters.host_hits_tokens) == (8 + 8 + 8, 8)


def test_host_tier_keeps_replies_only_if_told_to() -> None:
    # turn 0: 4 prompt tokens + 8 of the reply's 9 = 3 blocks; other requests evict them all; turn 1 begins with these
    turns = conversation("a", (range(4), range(10, 19)), ([50], [60]))
    other = request("b", 0, range(100, 116), range(20))
    small = {"max_model_len": 36, "num_blocks": 10, "host_cache_gib": 1.0}
    assert tiers(run(one_lane([turns[0], other, turns[1]]), **small))[2] == (0, 4)
    assert tiers(run(one_lane([turns[0], other, turns[1]]), **small, offload_prompt_only=False))[2] == (0, 12)


@given(seed=st.integers(0, 10**6), block_size=st.sampled_from([4, 8, 16]))
@settings(max_examples=15, deadline=None)
def test_endless_host_tier_equals_an_endless_cache_request_by_request(seed: int, block_size: int) -> None:
    requests = random_requests(seed, 12)
    schedule = ByTurn().arrange(requests)
    sizes = {"block_size": block_size, "num_blocks": 200 // block_size + 2}
    tiered = run(schedule, **sizes, **ENDLESS)
    endless = run(schedule, **(sizes | {"num_blocks": 5000}))
    assert [sum(pair) for pair in tiers(tiered)] == [
        ceiling(record.cached_tokens, request, block_size, tiered_tokens)
        for record, request, tiered_tokens in zip(
            endless.records, schedule, [sum(pair) for pair in tiers(tiered)], strict=True
        )
    ]
    assert sum(host for _, host in tiers(tiered)) > 0


def ceiling(cached_tokens: int, request: Request, block_size: int, tiered_tokens: int) -> int:
    """What the tiers may give: as the endless cache, or, of a prompt that the host holds whole, its last block too."""
    prompt_tokens = len(request.prompt_ids)
    whole = tiered_tokens == prompt_tokens == cached_tokens + block_size
    return prompt_tokens if whole else cached_tokens


def test_host_tier_hands_replies_out_token_by_token() -> None:
    # A jump would offer the host all blocks of a reply at once, where a small host refuses what it takes one by one.
    schedule = one_lane([request("a", 0, range(4), range(20))])
    assert run(schedule, host_cache_gib=1.0).counters.steps == 20
    with pytest.raises(ConfigError, match=r"engine\.decode: jump is exact only with .* without a host tier"):
        run(schedule, host_cache_gib=1.0, decode="jump")


def test_host_tier_smaller_than_a_block_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"host_cache_gib: 1e-05 GiB is less than one block \(131,072 bytes\)"):
        SimEngine(block_size=4, host_cache_gib=1e-5)
