"""Records what vLLM says of the layers of the configs in tests/model/configs.

    python tools/record_layers.py [NAME ...]

Each answer is written to layers.json next to its config.json. A model takes a minute or more. Record again when vLLM
or src/cachelab/engine/vllm/model_layers.py changes; the tests read the file only if it belongs to both.
"""

import json
import sys
import tempfile
from pathlib import Path

from cachelab.engine.vllm.core import vllm_version
from cachelab.engine.vllm.model_specs import ModelLayers

CONFIGS = Path(__file__).resolve().parents[1] / "tests" / "model" / "configs"
BLOCK_SIZES = {"deepseek-v3": 64}
"""Tokens per block, where the backend does not take 16."""


def main() -> None:
    """Record the named models, or all that have been recorded before."""
    for name in sys.argv[1:] or sorted(file.parent.name for file in CONFIGS.glob("*/layers.json")):
        file = CONFIGS / name / "layers.json"
        file.write_text(json.dumps(recorded(name), indent=1) + "\n", encoding="utf-8")
        print(file)


def recorded(name: str) -> dict[str, object]:
    """The version of vLLM, the name of the file in `engine.model_cache_dir`, and the answer."""
    model = ModelLayers(str(CONFIGS / name), "cuda", BLOCK_SIZES.get(name, 16), 1, True, "auto", 1)
    with tempfile.TemporaryDirectory() as folder:
        answer = model.read(folder)
        (kept,) = Path(folder).iterdir()
        return {"vllm": vllm_version(), "file": kept.name, "answer": answer}


if __name__ == "__main__":
    main()
