"""The layers of a model from its config.json, cached on disk."""

import hashlib
import json
import logging
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cachelab.atomic import atomic_file
from cachelab.engine.vllm.core import vllm_version
from cachelab.engine.vllm.hybrid_blocks import Platform
from cachelab.error_format import cut, one_line
from cachelab.errors import EngineError
from cachelab.model.source import model_config
from cachelab.model.tiny_model import default_cache_dir

log = logging.getLogger(__name__)

FORMAT_VERSION = "layers-3"
"""Part of the cached files' names. Increase it when the answer of model_layers.py changes."""

TIMEOUT_S = 1800
_DROPPED = ("quantization_config", "auto_map")
"""Keys that the model is built without: the format of the weights (`stated_kv_dtype` reads what it says of the KV
cache), and code that is not run."""

_ERROR_LINE = re.compile(r"\b((?:ModuleNotFound|Import|Value|Runtime|Attribute|Type|Key|OS)Error: .+)$", re.MULTILINE)


@dataclass(frozen=True)
class ModelLayers:
    """How vLLM keeps the KV cache of `model`, a config.json, its folder or an id on the Hugging Face hub."""

    model: str
    platform: Platform
    block_size: int
    max_model_len: int
    enable_prefix_caching: bool
    kv_cache_dtype: str
    tensor_parallel_size: int

    def read(self, cache_dir: str | None = None) -> dict[str, Any]:
        """The answer of model_layers.py.

        Raises EngineError if there is no such config, or if vLLM cannot build the model without weights.
        """
        config = model_config(self.model)
        request = {name: value for name, value in vars(self).items() if name != "model"}
        if self.kv_cache_dtype == "auto":
            request["kv_cache_dtype"] = stated_kv_dtype(config, self.model)
        plain = json.dumps({key: value for key, value in config.items() if key not in _DROPPED}, sort_keys=True)
        key = json.dumps([FORMAT_VERSION, vllm_version(), request, plain], sort_keys=True)
        folder = Path(cache_dir) if cache_dir else default_cache_dir()
        file = folder / f"layers-{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"
        if file.is_file():
            return dict(json.loads(file.read_text(encoding="utf-8")))
        log.info(
            "engine.model %s: vLLM builds the layers without weights. This is done once and takes up to a minute.",
            self.model,
        )
        answer = _asked(plain, request, self.model)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with atomic_file(file, "set engine.model_cache_dir to a folder of another disk") as part:
                part.write_text(json.dumps(answer), encoding="utf-8")
        except OSError as error:
            log.warning("engine.model_cache_dir: %s: %s: the layers are not kept", folder, error.strerror or error)
        return answer


def stated_kv_dtype(config: Mapping[str, Any], model: str) -> str:
    """The `kv_cache_dtype` that a config's `quantization_config` states: fp8, or auto if it states none.

    Raises EngineError for any other.
    """
    weights = config.get("quantization_config") or (config.get("text_config") or {}).get("quantization_config") or {}
    places = (weights.get("quantization") or {}, weights)
    stated = [place.get(key) for key in ("kv_cache_scheme", "kv_cache_quant_algo") for place in places]
    found = next((value for value in stated if value), None)
    if found is None:
        return "auto"
    if isinstance(found, dict):
        known = found.get("num_bits") == 8 and found.get("type") == "float"
    else:
        known = str(found).lower() == "fp8"
    if not known:
        raise EngineError(
            f"engine.model {model}: its quantization_config states a KV cache of {json.dumps(found)}, and only fp8 is "
            "known: state its layers in engine.layers, or set engine.kv_cache_dtype=fp8"
        )
    return "fp8"


def _asked(config: str, request: dict[str, Any], model: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "config.json").write_text(config, encoding="utf-8")
        answer = folder / "answer"
        done = subprocess.run(
            [sys.executable, "-m", "cachelab.engine.vllm.model_layers", str(answer)],
            input=json.dumps(request | {"model": str(folder)}),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        if not answer.is_file():
            last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            found: dict[str, Any] = {"refused": cut(one_line(last), 300)}
        else:
            found = json.loads(answer.read_text(encoding="utf-8"))
    if "refused" in found:
        why = found["refused"].replace(name, model)
        if "failed to be inspected" in why and (lines := _ERROR_LINE.findall(done.stderr)):
            why = lines[-1]  # vLLM inspects the model in a process of its own, which writes the reason here
        raise EngineError(
            f"engine.model {model}: vLLM cannot build it without weights: {cut(one_line(why), 300)}: "
            "state its layers in engine.layers"
        )
    return found
