"""vLLM with a real model: arguments, refusals and, with the tiny model on the CPU, what it generates."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cachelab.engine.base import EngineRun
from cachelab.engine.sim import SimEngine
from cachelab.engine.vllm import core as vllm_core
from cachelab.engine.vllm.backends import CpuEngine, CudaEngine
from cachelab.errors import ConfigError, EngineError
from cachelab.order.sessions import Sessions
from cachelab.request import Request
from workloads import conversation, one_lane, request

CHAT = conversation("a", (range(100, 140), range(200, 220)), (range(300, 330), range(400, 410)), ([7, 8], [9]))


def cpu(**settings: Any) -> CpuEngine:
    return CpuEngine(**({"max_model_len": 256, "max_num_seqs": 2, "num_blocks": 20} | settings))


def run(engine: CpuEngine | SimEngine, requests: list[Request]) -> EngineRun:
    return engine.run(one_lane(requests), lambda ended: None)


def cached(result: EngineRun) -> list[int]:
    return [record.cached_tokens for record in result.records]


def replies(result: EngineRun) -> list[list[int]]:
    assert result.requests is not None
    return [entry.reply_ids.tolist() for entry in result.requests]


def test_cpu_recorded_reuses_prompts_only() -> None:
    # turn 0: 40 prompt + 20 reply tokens; turn 1's prompt of 90 shares 40 of them: 1 block of 32. It leaves 99 - 1, of
    # which turn 2's 102 share 90: 2 blocks.
    result = run(cpu(), CHAT)
    assert cached(result) == [0, 32, 64]
    assert replies(result)[0] != CHAT[0].reply_ids.tolist()


def test_cpu_measures_what_each_step_computes() -> None:
    # 2 sequences, 64 tokens per step: long prompts are computed in parts, next to decodes
    chats = [*CHAT, *conversation("b", (range(500, 600), range(3)), ([1], range(40)))]
    engine = cpu(record_steps=True, max_num_batched_tokens=64, max_output_tokens=30)
    result = engine.run(Sessions(num_users=2, think_s=0.01).arrange(chats), lambda ended: None)
    assert result.steps is not None
    prefill, decodes, context = result.steps.work.T.astype(int).tolist()
    assert len(result.steps) == result.counters.steps
    assert sum(prefill) == sum(record.prompt_tokens - record.cached_tokens for record in result.records)
    assert sum(decodes) == sum(record.reply_tokens - 1 for record in result.records)
    assert max(prefill) <= 64
    assert {0, 1, 2} == set(decodes)
    assert min(context) == 0
    assert (result.steps.seconds > 0).all()
    assert all(record.preemptions == 0 for record in result.records)


def test_cpu_forced_emits_the_recorded_reply_and_reuses_it() -> None:
    # turn 0 leaves 40 + 20 - 1 = 59 tokens: 1 block; turn 1 90 + 10 - 1 = 99: 3 blocks, which turn 2 finds
    result = run(cpu(history="forced"), CHAT)
    assert replies(result) == [turn.reply_ids.tolist() for turn in CHAT]
    assert cached(result) == [0, 32, 96]
    assert cached(result) == cached(run(SimEngine(block_size=32, max_model_len=256, max_num_seqs=1), CHAT))


def test_cpu_forced_keeps_replies_apart_when_requests_run_together_and_are_preempted() -> None:
    # 9 usable blocks for 4 requests of up to 40 + 60 tokens (4 blocks each), two or more of them at a time
    chats = [request(f"c{n}", 0, range(n * 50, n * 50 + 40), range(n * 100, n * 100 + 60)) for n in range(4)]
    engine = cpu(history="forced", max_num_seqs=4, num_blocks=10)
    from cachelab.order.all_at_once import AllAtOnce

    result = engine.run(AllAtOnce().arrange(chats), lambda ended: None)
    assert sum(record.preemptions for record in result.records) > 0
    assert replies(result) == [chat.reply_ids.tolist() for chat in chats]


def test_cpu_generated_repeats_its_own_words() -> None:
    result = run(cpu(history="generated"), CHAT)
    assert result.requests is not None
    first, second, third = result.requests
    assert second.prompt_ids.tolist() == [*first.prompt_ids, *first.reply_ids, *range(300, 330)]
    assert third.prompt_ids.tolist() == [*second.prompt_ids, *second.reply_ids, 7, 8]
    assert cached(result) == [0, 32, 96]


def test_cpu_cuts_replies_to_max_output_tokens() -> None:
    result = run(cpu(max_output_tokens=12), CHAT)
    assert [record.reply_tokens for record in result.records] == [12, 10, 1]
    assert [record.reply_tokens_cut for record in result.records] == [0, 0, 0]


def test_cpu_times_are_the_wall_clock_s() -> None:
    result = run(cpu(), CHAT[:1])
    (record,) = result.records
    assert result.counters.clock == "wall"
    assert record.finished_ns is not None
    assert record.submitted_ns is not None
    assert 0 < record.finished_ns - record.submitted_ns < 60 * 10**9


def test_cpu_says_what_its_prompts_repeat() -> None:
    assert "history=recorded" in run(cpu(), CHAT[:1]).notes[0]
    assert "history=forced" in run(cpu(history="forced"), CHAT[:1]).notes[0]


def test_cpu_takes_blocks_from_the_kv_memory_where_none_are_given() -> None:
    # the tiny model: 2 (keys, values) x 2 layers x 1 head x 32 numbers x 2 bytes = 256 bytes a token, 8,192 a block
    result = run(cpu(num_blocks=None, kv_cache_memory_bytes=100 * 8192), CHAT[:1])
    assert result.counters.num_blocks == 100 - 1


def test_cpu_with_too_little_kv_memory_says_how_much_would_do() -> None:
    engine = cpu(num_blocks=None, kv_cache_memory_bytes=5 * 8192)
    with pytest.raises(EngineError, match=r"^engine\.kv_cache_memory_bytes: .* max_model_len 256: .* <= \d+$"):
        run(engine, CHAT[:1])
    assert cached(run(cpu(), CHAT[:1])) == [0]  # the next engine of the process is not the worse for it


def test_cpu_with_another_vocabulary_than_the_requests_is_refused(tmp_path: Path) -> None:
    from cachelab.model.tiny_model import tiny_model

    small = tiny_model(tmp_path, 1024)
    with pytest.raises(EngineError, match=r"1,024 tokens, .* contain token id 2,000: .*tokenizer=huggingface"):
        run(cpu(model=str(small)), [request("a", 0, [1, 2000], [3])])


@pytest.mark.parametrize("block_size", [1, 8, 16, 48])
def test_cpu_block_size_that_its_kernels_lack_is_refused(block_size: int) -> None:
    with pytest.raises(ConfigError, match=r"engine\.block_size: .*\(32, 64, 96, \.\.\.\), got .*engine=sim"):
        cpu(block_size=block_size, num_blocks=300)


@pytest.mark.parametrize("block_size", [1, 8, 24])
def test_cuda_block_size_that_its_kernels_lack_is_refused(block_size: int) -> None:
    with pytest.raises(ConfigError, match=r"\(16, 32, 48, \.\.\.\), got .*engine=sim"):
        CudaEngine(block_size=block_size)


def test_real_engines_default_to_a_block_size_that_they_have() -> None:
    assert (CpuEngine().block_size, CudaEngine().block_size) == (32, 16)


def test_cpu_with_a_host_tier_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"engine\.host_cache_gib: vLLM's cpu backend has no host tier.*engine=sim"):
        cpu(host_cache_gib=1.0)


def test_cpu_with_too_few_blocks_names_the_way_out() -> None:
    with pytest.raises(ConfigError, match=r"engine\.num_blocks: 8 blocks .* >= 9"):
        cpu(num_blocks=8)


def test_cuda_with_more_host_memory_than_there_is_says_so_first() -> None:
    engine = CudaEngine(host_cache_gib=1e6)
    with pytest.raises(EngineError, match=r"engine\.host_cache_gib: 1e\+06 GiB is more than this machine's"):
        engine.run(one_lane(CHAT), lambda ended: None)


def test_cuda_without_a_gpu_is_one_line_with_the_ways_out() -> None:
    if vllm_core.backend() == "cuda":
        pytest.skip("this machine has a GPU")
    with pytest.raises(EngineError, match=r"finds no NVIDIA GPU: .*engine=cpu.*engine=sim") as caught:
        CudaEngine().run(one_lane(CHAT), lambda ended: None)
    assert "\n" not in str(caught.value)


def test_cpu_engine_on_another_backend_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_core, "backend", lambda: "cuda")
    with pytest.raises(EngineError, match=r"engine=cpu: .* uses cuda, not the CPU: install cachelab\[cpu\]"):
        cpu().run(one_lane(CHAT), lambda ended: None)


def test_cuda_arguments_reach_vllm_under_its_names() -> None:
    engine = CudaEngine(
        block_size=32, max_model_len=4096, max_num_seqs=4, num_blocks=300, dtype="float16", tensor_parallel_size=2,
        gpu_memory_utilization=0.95, kv_cache_memory_bytes=1 << 30, enforce_eager=True, args={"seed": 7},
    )  # fmt: skip
    args = engine.engine_args("folder")
    assert (
        args.items()
        >= {
            "model": "folder",
            "block_size": 32,
            "max_model_len": 4096,
            "max_num_seqs": 4,
            "num_gpu_blocks_override": 300,
            "dtype": "float16",
            "tensor_parallel_size": 2,
            "gpu_memory_utilization": 0.95,
            "kv_cache_memory_bytes": 1 << 30,
            "enforce_eager": True,
            "skip_tokenizer_init": True,
            "seed": 7,
        }.items()
    )
    assert "kv_offloading_size" not in args
    assert "enable_trace_replay" not in args


def test_cuda_forced_takes_vllms_own_trace_replay() -> None:
    assert CudaEngine(history="forced").engine_args("folder")["enable_trace_replay"] is True


def test_cuda_host_tier_is_vllms_own_offloading() -> None:
    args = CudaEngine(host_cache_gib=2.5, offload_prompt_only=False).engine_args("folder")
    assert args["kv_offloading_size"] == 2.5
    assert args["kv_transfer_config"].kv_connector_extra_config == {"offload_prompt_only": False}


def test_vllm_knows_every_argument_that_is_passed() -> None:
    from vllm.engine.arg_utils import EngineArgs

    engine = CudaEngine(host_cache_gib=1.0, history="forced")
    assert set(engine.engine_args("folder")) <= set(EngineArgs.__dataclass_fields__)


@pytest.mark.gpu
def test_cuda_forced_emits_the_recorded_reply() -> None:
    engine = CudaEngine(max_model_len=256, num_blocks=40, history="forced")
    result = engine.run(one_lane(CHAT), lambda ended: None)
    assert replies(result) == [turn.reply_ids.tolist() for turn in CHAT]


def test_vllm_core_trace_is_what_cpu_lacks() -> None:
    # The evidence for a logits processor on the CPU: vLLM's trace replay wants model runner V2, which wants Triton.
    engine = cpu(args={"enable_trace_replay": True})
    with pytest.raises(EngineError, match="Model Runner V2"):
        run(engine, CHAT[:1])


def test_cpu_hands_each_request_as_it_ran_back() -> None:
    result = run(cpu(), CHAT)
    assert result.requests is not None
    for ran, recorded in zip(result.requests, CHAT, strict=True):
        assert np.array_equal(ran.prompt_ids, recorded.prompt_ids)
        assert len(ran.reply_ids) == len(recorded.reply_ids)
