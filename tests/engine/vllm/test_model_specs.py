"""The layers of a config.json: the file of the answer, and every refusal. No test here builds a model."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cachelab.engine.sim import SimEngine
from cachelab.engine.vllm.model_specs import ModelLayers, stated_kv_dtype
from cachelab.errors import ConfigError, EngineError

CONFIG = {"architectures": ["LlamaForCausalLM"], "model_type": "llama"}
ANSWER = {"layers": [], "specs": [], "layouts": ["LBNHC"], "mamba_cache_mode": "none", "backends": []}


def layers(model: Path | str, **changed: Any) -> ModelLayers:
    fields: dict[str, Any] = {"platform": "cuda", "block_size": 16, "max_model_len": 1, "enable_prefix_caching": True}
    return ModelLayers(str(model), **(fields | {"kv_cache_dtype": "auto", "tensor_parallel_size": 1} | changed))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The requests that a second process was given; it answers each with ANSWER."""
    requests: list[dict[str, Any]] = []

    def answer(command: list[str], input: str, **_: Any) -> subprocess.CompletedProcess[str]:
        requests.append(json.loads(input))
        Path(command[-1]).write_text(json.dumps(ANSWER))
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", answer)
    return requests


def folder(tmp_path: Path, config: Any = CONFIG) -> Path:
    model = tmp_path / "model"
    model.mkdir(exist_ok=True)
    (model / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    return model


def test_second_use_starts_no_process(tmp_path: Path, asked: list[Any]) -> None:
    model, cache = folder(tmp_path), str(tmp_path / "cache")
    assert layers(model).read(cache) == layers(model / "config.json").read(cache) == ANSWER
    assert len(asked) == 1
    layers(model, tensor_parallel_size=2).read(cache)
    folder(tmp_path, CONFIG | {"num_hidden_layers": 3})
    layers(model).read(cache)
    assert len(asked) == 3


def test_the_kv_dtype_of_the_config_is_used(tmp_path: Path, asked: list[dict[str, Any]]) -> None:
    scheme = {"quant_method": "compressed-tensors", "kv_cache_scheme": {"num_bits": 8, "type": "float"}}
    layers(folder(tmp_path, CONFIG | {"quantization_config": scheme})).read(str(tmp_path))
    assert asked[0]["kv_cache_dtype"] == "fp8"


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ({"quant_method": "mxfp4"}, "auto"),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "auto"),
        ({"quant_method": "modelopt", "kv_cache_quant_algo": "FP8"}, "fp8"),
        ({"quant_method": "modelopt", "quantization": {"kv_cache_quant_algo": "FP8"}}, "fp8"),
    ],
)
def test_stated_kv_dtype(weights: dict[str, Any], expected: str) -> None:
    assert stated_kv_dtype({"quantization_config": weights}, "m") == expected
    assert stated_kv_dtype({"text_config": {"quantization_config": weights}}, "m") == expected


def test_a_kv_dtype_that_is_not_known_is_refused() -> None:
    weights = {"quant_method": "modelopt", "kv_cache_quant_algo": "NVFP4"}
    with pytest.raises(EngineError, match=r'^engine\.model m: .* KV cache of "NVFP4", .*engine\.kv_cache_dtype=fp8$'):
        stated_kv_dtype({"quantization_config": weights}, "m")


@pytest.mark.parametrize(("text", "message"), [("{", "not JSON"), ("[1]", "not an object")])
def test_a_broken_config_is_refused(tmp_path: Path, asked: list[Any], text: str, message: str) -> None:
    with pytest.raises(EngineError, match=rf"engine\.model .*config\.json: {message}.*: give a model's config\.json$"):
        layers(folder(tmp_path, text)).read(str(tmp_path))
    assert not asked


def test_no_file_and_no_hub_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"engine\.model .*No such file or directory: give"):
        layers(tmp_path / "nowhere").read(str(tmp_path))
    with pytest.raises(EngineError, match=r"local Hugging Face cache: run `hf download nobody/nothing config\.json`"):
        layers("nobody/nothing").read(str(tmp_path))


def test_what_vllm_refuses_is_one_line_and_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        Path(command[-1]).write_text(json.dumps({"refused": "Tensor.item() cannot be called on meta tensors"}))
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", refuse)
    with pytest.raises(EngineError, match=r"without weights: Tensor\.item\(\) .*: state its layers in engine\.layers$"):
        layers(folder(tmp_path)).read(str(tmp_path / "cache"))
    assert not (tmp_path / "cache").exists()


def test_the_reason_of_a_failed_inspection_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        Path(command[-1]).write_text(json.dumps({"refused": "X failed to be inspected. Please check the logs"}))
        stderr = "Traceback\n  File\nERROR 1 [registry.py:9] ModuleNotFoundError: No module named 'torchvision'\nend\n"
        return subprocess.CompletedProcess(command, 0, "", stderr)

    monkeypatch.setattr(subprocess, "run", refuse)
    with pytest.raises(EngineError, match=r"weights: ModuleNotFoundError: No module named 'torchvision': state its la"):
        layers(folder(tmp_path)).read(str(tmp_path / "cache"))


def test_model_and_layers_together_are_refused() -> None:
    group: Any = {"kind": "full", "layers": 1, "heads": 1, "head_size": 64}
    with pytest.raises(ConfigError, match=r"engine\.layers: engine\.model, .*set one of them"):
        SimEngine(model="m", layers=[group])
    with pytest.raises(ConfigError, match=r"engine\.kv_cache_dtype: it belongs to engine\.model"):
        SimEngine(kv_cache_dtype="fp8")
