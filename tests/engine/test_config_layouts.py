"""The KV cache of published models, from the config.json files of tests/model/configs, held to sums worked by hand.

All with 40 GiB, bfloat16, requests of 8,192 tokens and steps of at most 8,192 tokens. A window layer then holds
8,192 tokens and one block more, because a window can begin inside a block.

What vLLM says of each config is recorded in layers.json (tools/record_layers.py), because asking takes a minute per
model. The simulator reads a record only if it belongs to the config, to the installed vLLM and to our code, else it
asks vLLM. One model is asked anew in every run of the tests, all of them with CACHELAB_ALL_MODELS=1.
"""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from cachelab.composition import config_dir
from cachelab.engine.kv_layout import GIB, KvLayout
from cachelab.engine.sim import SimEngine
from cachelab.engine.vllm.model_specs import ModelLayers
from cachelab.errors import EngineError
from workloads import one_lane, request

CONFIGS = Path(__file__).parents[1] / "model" / "configs"
RECORDED = sorted(file.parent.name for file in CONFIGS.glob("*/layers.json"))
BLOCK_SIZES = {"deepseek-v3": 64}
ASKED_ANEW = "gemma-3-1b"  # windows, and the smallest model to build

more_models = pytest.mark.skipif(
    os.environ.get("CACHELAB_ALL_MODELS") != "1", reason="takes minutes: set CACHELAB_ALL_MODELS=1"
)


def record_of(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((CONFIGS / name / "layers.json").read_text(encoding="utf-8"))
    return found


def layout_of(engine: SimEngine) -> KvLayout:
    found = engine.run(one_lane([request("a", 0, range(40), [1])]), lambda ended: None).counters.layout
    assert found is not None
    return found


def layout(name: str, cache: Path) -> KvLayout:
    record = record_of(name)
    (cache / record["file"]).write_text(json.dumps(record["answer"]), encoding="utf-8")
    engine = SimEngine(
        model=str(CONFIGS / name), model_cache_dir=str(cache), max_model_len=8192, max_num_seqs=1, kv_cache_gib=40.0,
        block_size=BLOCK_SIZES.get(name, 16),
    )  # fmt: skip
    return layout_of(engine)


def groups(found: KvLayout) -> Counter[tuple[str, int, int]]:
    return Counter((group.kind, group.layers, group.block_size) for group in found.groups)


def test_llama_3_8b(tmp_path: Path) -> None:
    # 32 layers x 8 heads x 128 numbers x keys and values x 2 bytes; 40 GiB / 131,072
    found = layout("llama-3-8b", tmp_path)
    assert groups(found) == {("full", 32, 16): 1}
    assert found.bytes_per_token == 131_072
    assert found.tokens_that_fit == 327_680


def test_gemma_3_1b(tmp_path: Path) -> None:
    # 22 window layers and 4 full ones: groups of at most 4. A full layer: 1 head x 256 x 2 x 2 = 1,024 bytes per token.
    # 655,360 blocks of 4 x 16 x 1,024 bytes; a request has 512 full blocks and 513 of each of six groups: 3,590
    found = layout("gemma-3-1b", tmp_path)
    assert groups(found) == {("window", 4, 16): 4, ("window", 3, 16): 2, ("full", 4, 16): 1}
    assert found.bytes_per_token == 4_096
    assert found.tokens_that_fit == int(655_360 / 3_590 * 8_192) == 1_495_462


def test_gpt_oss_20b(tmp_path: Path) -> None:
    # every second layer has a window; 12 x 8 heads x 64 x 2 x 2 = 24,576 bytes per token of the full ones.
    # 40 GiB / (16 x 24,576) = 109,226 blocks; a request has 512 + 513
    found = layout("gpt-oss-20b", tmp_path)
    assert groups(found) == {("window", 12, 16): 1, ("full", 12, 16): 1}
    assert found.bytes_per_token == 24_576
    assert found.tokens_that_fit == int(40 * GIB // (16 * 24_576) / 1_025 * 8_192)


def test_qwen3_next(tmp_path: Path) -> None:
    # A full layer: 2 heads x 256 x 2 x 2 = 2,048 bytes per token. A state: 3 x 8,192 x 2 + 32 x 128 x 128 x 4 bytes =
    # 2,146,304 = 65.5 x 16 tokens: blocks of 66 x 16 = 1,056. 40 GiB / (12 x 1,056 x 2,048) = 1,654 blocks. A request
    # has 8 of them in the full layers and 2 states in each of three groups.
    found = layout("qwen3-next-80b-a3b", tmp_path)
    assert groups(found) == {("mamba", 12, 1056): 3, ("full", 12, 1056): 1}
    assert found.bytes_per_token == 12 * 2_048
    assert found.tokens_that_fit == int(1_654 / 14 * 8_192) == 967_826


def test_deepseek_v3(tmp_path: Path) -> None:
    # the same numbers as from stated layers, below
    found = layout("deepseek-v3", tmp_path)
    assert groups(found) == {("mla", 61, 64): 1}
    assert found.bytes_per_token == 70_272
    assert found.tokens_that_fit == 9_549 * 64


@pytest.mark.parametrize("name", RECORDED)
def test_the_preset_has_the_layout_of_the_config(name: str, tmp_path: Path) -> None:
    preset = yaml.safe_load((config_dir() / "model" / f"{name}.yaml").read_text(encoding="utf-8"))
    stated = SimEngine(**preset, max_model_len=8192, max_num_seqs=1, kv_cache_gib=40.0)
    assert layout_of(stated) == layout(name, tmp_path)


def test_every_preset_but_one_has_a_record() -> None:
    # vLLM's code of Qwen3.5 imports torchvision: tests/engine/test_kv_layout.py holds its layers to vllm#40696
    presets = {file.stem for file in (config_dir() / "model").glob("*.yaml")}
    assert presets - set(RECORDED) == {"qwen3.5-4b"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == ASKED_ANEW else more_models) for name in RECORDED]
)
def test_vllm_says_what_is_recorded(name: str, tmp_path: Path) -> None:
    model = ModelLayers(str(CONFIGS / name), "cuda", BLOCK_SIZES.get(name, 16), 1, True, "auto", 1)
    assert model.read(str(tmp_path)) == record_of(name)["answer"]


@pytest.mark.slow
@more_models
def test_mla_on_cuda_takes_no_blocks_of_16(tmp_path: Path) -> None:
    model = ModelLayers(str(CONFIGS / "deepseek-v3"), "cuda", 16, 1, True, "auto", 1)
    with pytest.raises(EngineError, match="FLASHMLA on CUDA does not take blocks of 16 tokens, but 64"):
        model.read(str(tmp_path))
