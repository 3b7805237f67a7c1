"""The groups of layers on the simulator, held to numbers worked by hand and to reports of vLLM's users."""

from dataclasses import replace
from typing import Any

import pytest

from cachelab.engine.base import EngineRun
from cachelab.engine.kv_layout import KvGroup, KvLayout
from cachelab.engine.kv_memory import kv_bytes
from cachelab.engine.sim import SimEngine
from cachelab.engine.sim_settings import DEFAULT_BLOCKS
from cachelab.engine.vllm.hybrid_blocks import hybrid_block_size
from cachelab.errors import ConfigError, EngineError
from cachelab.metrics.capacity import points_table
from cachelab.order.by_turn import ByTurn
from workloads import conversation, one_lane, random_requests, request

GIB = 1 << 30
FULL = {"kind": "full", "layers": 10, "heads": 8, "head_size": 128}
WINDOW = {"kind": "window", "layers": 50, "heads": 8, "head_size": 128, "window": 1024}
# Qwen3.5-4B: 24 layers with a state of 3 x 8,192 numbers of 2 bytes and 32 x 128 x 128 of 4, 8 of full attention
STATE = 3 * 8192 * 2 + 32 * 128 * 128 * 4
QWEN = [
    {"kind": "mamba", "layers": 24, "state_bytes": STATE},
    {"kind": "full", "layers": 8, "heads": 4, "head_size": 256},
]


def sim(**settings: Any) -> SimEngine:
    return SimEngine(**({"max_model_len": 4096, "max_num_seqs": 1} | settings))


def run(engine: SimEngine, tokens: int = 40) -> EngineRun:
    return engine.run(one_lane([request("a", 0, range(tokens), [1, 2])]), lambda ended: None)


def layout(engine: SimEngine) -> KvLayout:
    found = run(engine).counters.layout
    assert found is not None
    return found


def test_vllm_makes_groups_of_the_layers() -> None:
    # 50 window layers are five times the 10 full ones: six groups of ten. A block: 10 layers x 16 tokens x 4,096 bytes.
    found = layout(sim(layers=[FULL, WINDOW], num_blocks=9600))
    assert found.groups == (KvGroup("full", 10, 16, 655_360), *[KvGroup("window", 10, 16, 655_360, 1024)] * 5)
    assert (found.block_bytes, found.num_blocks, found.hit_alignment) == (655_360, 9599, 16)
    assert found.bytes_per_token == 40_960
    assert found.plain_blocks == 9599
    assert not found.is_plain


def test_one_group_is_the_plain_model() -> None:
    full = layout(sim(layers=[{**FULL, "layers": 60}], num_blocks=9600))
    assert full.groups == (KvGroup("full", 60, 16, 60 * 16 * 4096),)
    assert full.is_plain


def test_a_state_stretches_the_blocks_as_on_cuda() -> None:
    # vllm#40696 reports 528 tokens. Three groups of 8 states and one of 8 attention layers, 528 x 4,096 bytes a page
    found = layout(sim(layers=QWEN, kv_cache_gib=10.0))
    assert [group.block_size for group in found.groups] == [528] * 4
    assert {group.block_bytes for group in found.groups} == {8 * 528 * 4096}
    assert found.num_blocks == 10 * GIB // (8 * 528 * 4096) - 1
    assert found.hit_alignment == 528
    assert found.bytes_per_token == 8 * 4096
    assert found.plain_blocks == found.num_blocks * 528 // 16


@pytest.mark.parametrize(
    ("state_bytes", "bytes_per_token", "platform", "mla", "expected"),
    [
        (STATE, 4096, "cuda", False, 528),  # Qwen3.5-4B, vllm#40696: 2,146,304 / 65,536 = 32.75
        (STATE, 4096, "cpu", False, 544),  # kernels of 32: 2,146,304 / 131,072 = 16.4
        (16 * 4096, 4096, "cuda", False, 16),  # a state that fits
        (16 * 4096 + 1, 4096, "cuda", False, 32),
        (2048, 1152, "cuda", True, 128),  # MLA blocks next to states
    ],
)
def test_hybrid_block_size(state_bytes: int, bytes_per_token: int, platform: Any, mla: bool, expected: int) -> None:
    assert hybrid_block_size(16, state_bytes, bytes_per_token, platform, mla) == expected


@pytest.mark.parametrize(("prompt", "cached"), [(480, 0), (552, 528), (979, 528), (1500, 1056), (2200, 2112)])
def test_the_same_prompt_again_on_qwen35_4b(prompt: int, cached: int) -> None:
    # vllm#40696, on an A100 and an H20: "about 95 %" of 552 tokens, "about 54 %" of 979
    twice = [request(name, 0, range(prompt), range(20)) for name in "abc"]
    records = sim(layers=QWEN, kv_cache_gib=10.0).run(one_lane(twice), lambda ended: None).records
    assert [record.cached_tokens for record in records] == [0, cached, cached]


@pytest.mark.parametrize(
    "layers",
    [
        [FULL, WINDOW],
        [{**WINDOW, "layers": 3, "window": 100}, {**FULL, "layers": 2, "value_head_size": 64}],
        QWEN,
        [{"kind": "mla", "layers": 3, "head_size": 576}],
        [{**FULL, "kind": "chunked", "window": 256, "dtype": "fp8"}, {**FULL, "dtype": "fp8"}],
    ],
)
def test_layers_of_the_same_size_make_the_same_groups(layers: list[Any]) -> None:
    # how the simulator gets the layers of a real engine (engine=agreement)
    found = layout(sim(layers=layers, num_blocks=9600))
    again = layout(sim(layers=[group.same_sized_layers() for group in found.groups], num_blocks=9600))
    assert again == found


def test_points_by_memory_are_runs_of_their_own() -> None:
    schedule = ByTurn().arrange(random_requests(5, 12))
    small: list[Any] = [{**FULL, "layers": 1}, {**WINDOW, "layers": 1, "window": 32}]
    engine = sim(layers=small, block_size=8, num_blocks=400, max_model_len=256)
    mib = [3.0, 6.0]  # 96 and 192 blocks of 8 x 4,096 bytes
    points = replace(engine, at_gib=[size / 1024 for size in mib]).run(schedule, lambda ended: None).comparison_runs
    alone = [replace(engine, num_blocks=None, kv_cache_gib=size / 1024) for size in mib]
    assert [run.counters.num_blocks for run in points] == [95, 191]
    for engine, point in zip(alone, points, strict=True):
        assert engine.run(schedule, lambda ended: None).records == point.records


def test_points_of_a_plain_model_lie_on_the_lru_curve() -> None:
    requests = random_requests(5, 12)
    engine = sim(layers=[{**FULL, "layers": 1}], block_size=8, num_blocks=400, max_model_len=256)
    engine = replace(engine, at_gib=[0.0015, 0.003, 0.006])
    run = engine.run(ByTurn().arrange(requests), lambda ended: None)
    table = points_table(requests, run.comparison_runs)
    assert table["blocks"] == table["plain_blocks"] == [48, 97, 195]
    assert table["completed"] == [len(requests)] * 3
    assert table["token_rate"] == table["lru_token_rate"]
    assert 0 < table["token_rate"][0] < table["token_rate"][2]


def test_layers_of_an_unknown_kind_cannot_be_stated() -> None:
    with pytest.raises(ValueError, match="layers of kind cross_attention cannot be stated"):
        KvGroup("cross_attention", 1, 16, 4096).same_sized_layers()


def test_memory_gives_the_number_of_blocks() -> None:
    # Llama-3.2-1B's 32 KiB per token: 512 KiB per block of 16
    assert layout(sim(kv_cache_gib=1.0)).num_blocks == 2048 - 1
    assert layout(sim(gpu_memory_gib=24.0, gpu_memory_utilization=0.5, weights_gib=11.0)).num_blocks == 2048 - 1
    assert layout(sim()).num_blocks == DEFAULT_BLOCKS - 1


def test_heads_are_divided_among_gpus() -> None:
    # 8 heads on 2 GPUs: 4 each; on 16 GPUs each head is on two of them
    assert layout(sim(layers=[FULL], tensor_parallel_size=2)).bytes_per_token == 10 * 4 * 2 * 128 * 2
    assert layout(sim(layers=[FULL], tensor_parallel_size=16)).bytes_per_token == 10 * 1 * 2 * 128 * 2
    mla = {"kind": "mla", "layers": 61, "head_size": 576}
    assert layout(sim(layers=[mla], tensor_parallel_size=8)).bytes_per_token == 61 * 576 * 2


def test_fp8_halves_the_bytes() -> None:
    assert layout(sim(layers=[{**FULL, "dtype": "fp8"}])).bytes_per_token == 10 * 8 * 2 * 128


def test_a_window_holds_few_blocks_of_a_request() -> None:
    # vLLM keeps the last 32 - 1 tokens and a step's: a request of 4,096 tokens has 256 full blocks, and few of a window
    found = layout(
        sim(layers=[{**FULL, "layers": 1}, {**WINDOW, "layers": 1, "window": 32}], max_num_batched_tokens=64)
    )
    # 31 + 64 tokens are 6 blocks, and 1 because a window may begin inside a block: 256 + 7 blocks per request
    assert found.tokens_that_fit == int(DEFAULT_BLOCKS / 263 * 4096)


def test_longest_request_is_what_the_groups_hold() -> None:
    # 100 blocks; a request of n tokens needs ceil(n / 16) of them in each of the two groups of full layers
    engine = sim(layers=[{**FULL, "head_size": 64}, FULL], num_blocks=100, max_model_len=None)
    result = engine.run(one_lane([request("a", 0, range(5000), [1]), request("b", 0, range(50), [1])]), lambda _: None)
    assert [record.outcome for record in result.records] == ["rejected", "completed"]


@pytest.mark.parametrize("kinds", [[FULL], [{"kind": "mla", "layers": 2, "head_size": 576}]])
def test_full_groups_hit_what_the_plain_model_hits(kinds: list[Any]) -> None:
    requests = random_requests(5, 12)
    plain = sim(block_size=8, num_blocks=60, max_model_len=256)
    records = plain.run(one_lane(requests), lambda ended: None).records
    grouped = replace(plain, layers=kinds).run(one_lane(requests), lambda ended: None).records
    assert [record.cached_tokens for record in grouped] == [record.cached_tokens for record in records]


def test_a_window_is_hit_at_the_end_of_the_prompt_only() -> None:
    # vLLM 0.32 keeps a window's blocks where the prompt ends, not in the reply (prefix_cache_retention_interval=0):
    # turn 0 leaves a boundary at 39 // 16 x 16 = 32 tokens, although 40 + 24 - 1 = 63 tokens were computed
    turns = conversation("a", (range(40), range(100, 124)), (range(200, 210), [1]))
    engine = sim(
        layers=[{**FULL, "layers": 1}, {**WINDOW, "layers": 1, "window": 16}], num_blocks=100, max_model_len=256
    )
    records = engine.run(one_lane(turns), lambda ended: None).records
    assert [record.cached_tokens for record in records] == [0, 32]


@pytest.mark.parametrize(("interval", "cached"), [(0, 32), (64, 64), (48, 96), (32, 96), (None, 96)])
def test_a_window_in_the_reply_is_hit_where_it_is_retained(interval: int | None, cached: int) -> None:
    # turn 0 computes 40 + 64 - 1 = 103 tokens and keeps its window at 32, where the prompt ends, and at the multiples
    # of the interval (None: of the block, 16): 64; 48 and 96; 32, 64 and 96. Turn 1 finds the last one of these.
    turns = conversation("a", (range(40), range(100, 164)), (range(200, 210), [1]))
    layers: list[Any] = [{**FULL, "layers": 1}, {**WINDOW, "layers": 1, "window": 16}]
    args = {"prefix_cache_retention_interval": interval}
    engine = sim(layers=layers, num_blocks=100, max_model_len=256, args=args)
    records = engine.run(one_lane(turns), lambda ended: None).records
    assert [record.cached_tokens for record in records] == [0, cached]


@pytest.mark.parametrize(("args", "cached"), [({}, 528), ({"prefix_cache_retention_interval": 528}, 1584)])
def test_a_state_in_the_reply_is_hit_where_it_is_retained(args: dict[str, Any], cached: int) -> None:
    # turn 0 computes 600 + 1,200 - 1 tokens; the prompt ends in the second block of 528, the reply in the fourth
    turns = conversation("a", (range(600), range(1000, 2200)), (range(3000, 3010), [1]))
    records = sim(layers=QWEN, kv_cache_gib=10.0, args=args).run(one_lane(turns), lambda ended: None).records
    assert [record.cached_tokens for record in records] == [0, cached]


@pytest.mark.parametrize(("prompt", "cached"), [(480, 464), (979, 976), (1500, 1488)])
def test_a_state_is_hit_inside_a_block_with_a_finer_unit(prompt: int, cached: int) -> None:
    # the largest multiple of 16 below the prompt's length, since its last token is computed again: 29, 61, 93 x 16
    twice = [request(name, 0, range(prompt), range(20)) for name in "ab"]
    engine = sim(layers=QWEN, kv_cache_gib=10.0, args={"prefix_match_unit": 16})
    run = engine.run(one_lane(twice), lambda ended: None)
    assert [record.cached_tokens for record in run.records] == [0, cached]
    assert run.counters.block_size == 16


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"layers": [{"kind": "full", "layers": 1, "heads": 8}]},
            r"engine\.layers\[0\]: .* full need head_size",
        ),
        ({"layers": [FULL, {**FULL, "window": 4}]}, r"engine\.layers\[1\]: layers of kind full have no window: leave"),
        ({"layers": [{**FULL, "kind": "flat"}]}, r"engine\.layers\[0\]\.kind: input should be 'full', 'window'"),
        ({"layers": [{**FULL, "heads": "8"}]}, r"engine\.layers\[0\]\.heads: input should be a valid integer, got '8'"),
        ({"layers": [{**FULL, "colour": 1}]}, r"engine\.layers\[0\]\.colour: there is no such setting"),
        ({"layers": [3]}, r"engine\.layers\[0\]: a group of layers is \{kind: full"),
        ({"layers": [FULL], "host_cache_gib": 1.0}, r"engine\.host_cache_gib: .*engine\.layers and engine\.model"),
        ({"layers": [FULL], "decode": "jump"}, r"engine\.decode: jump .*engine\.layers"),
        ({"num_blocks": 100, "kv_cache_gib": 1.0, "max_model_len": 64}, r"engine\.num_blocks: 100, but .*=null"),
        ({"kv_cache_gib": 1.0, "gpu_memory_gib": 1.0}, r"engine\.kv_cache_gib: engine\.gpu_memory_gib is also set"),
        (
            {"gpu_memory_gib": 10.0, "weights_gib": 9.5},
            r"engine\.weights_gib: 9\.5 GiB leave nothing of 0\.92 x 10",
        ),
        ({"weights_gib": 1.0}, r"engine\.weights_gib: .* engine\.gpu_memory_gib, which is not set"),
        ({"args": {"mamba_cache_mode": "none"}}, r"engine\.args\.mamba_cache_mode: "),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        sim(**settings)


def test_too_little_memory_names_the_longest_request() -> None:
    with pytest.raises(EngineError, match=r"vLLM .* refuses .*estimated maximum model length is \d+"):
        run(sim(layers=[FULL, WINDOW], num_blocks=100))


def test_more_blocks_than_vllm_can_have_are_refused() -> None:
    with pytest.raises(EngineError, match=r"engine\.kv_cache_gib: the memory holds 268,435,456 blocks.*set less"):
        run(sim(layers=[{**FULL, "layers": 1, "heads": 1, "head_size": 1}], kv_cache_gib=16.0))


def test_kv_bytes_without_memory() -> None:
    assert kv_bytes(None, None, 0.9, 0.0) is None
