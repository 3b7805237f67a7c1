"""Finds an engine's model: a tiny model, a folder, or a model on the hub."""

import json
from pathlib import Path
from typing import Any

from cachelab.errors import EngineError
from cachelab.model.hub import cached_folder, is_path, why_refused
from cachelab.model.tiny_model import TINY_NAMES, default_cache_dir, tiny_model, vocabulary_for

_WEIGHTS = ("*.safetensors", "*.bin", "*.pt", "*.pth")


def find_model(model: str, cache_dir: str | None, largest_token_id: int) -> str:
    """The model's folder, or its id if the hub gives it. Raises EngineError that says what is missing.

    `largest_token_id` of the requests sets the vocabulary of a tiny model.
    """
    if (name := next((name for name in TINY_NAMES if name == model), None)) is not None:
        folder = Path(cache_dir) if cache_dir else default_cache_dir()
        try:
            return str(tiny_model(folder, vocabulary_for(largest_token_id), name))
        except OSError as error:
            raise EngineError(
                f"engine.model_cache_dir: the tiny model cannot be built in {folder} ({error.strerror or error}): "
                "set engine.model_cache_dir to a writable folder"
            ) from error
    if Path(model).is_dir():
        check_folder(Path(model))
        return model
    if is_path(model):
        raise EngineError(
            f"engine.model {model}: no such folder: give a model's folder, its id on the hub, or {TINY_NAMES[0]}"
        )
    from huggingface_hub.errors import HFValidationError

    try:
        cached = cached_folder(model)
    except HFValidationError as error:
        raise EngineError(f"engine.model {model}: not an id on the hub ({error}): give a folder or an id") from error
    if cached is not None:
        check_folder(cached)
        return str(cached)
    if reason := why_refused(model):
        raise EngineError(
            f"engine.model {model}: neither a folder nor in the local Hugging Face cache, and the hub does not give it "
            f"({reason}): give a model's folder, run `hf download {model}` with a network connection (and a login, if "
            f"the model needs one), or use engine.model={TINY_NAMES[0]}"
        )
    return model


def model_config(model: str) -> dict[str, Any]:
    """The config.json of a model: the file, its folder, or that of a hub id in the local Hugging Face cache.

    Raises EngineError that says what is missing.
    """
    path = Path(model).expanduser()
    if path.is_dir():
        path = path / "config.json"
    elif not path.is_file() and not is_path(model):
        path = _cached_config(model)
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise EngineError(
            f"engine.model {model}: {path}: {error.strerror or error}: give a model's config.json, its folder, or its "
            "id on the hub"
        ) from error
    except ValueError as error:
        raise EngineError(f"engine.model {model}: {path}: not JSON ({error}): give a model's config.json") from error
    if not isinstance(config, dict):
        raise EngineError(f"engine.model {model}: {path}: not an object: give a model's config.json")
    return config


def _cached_config(model: str) -> Path:
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(model, "config.json")
    except HFValidationError as error:
        raise EngineError(f"engine.model {model}: not an id on the hub ({error}): give a folder or an id") from error
    if not isinstance(found, str):
        raise EngineError(
            f"engine.model {model}: neither a file or a folder nor in the local Hugging Face cache: run "
            f"`hf download {model} config.json` (only this file is needed), or give a config.json"
        )
    return Path(found)


def check_folder(folder: Path) -> None:
    """Raises EngineError unless the folder holds a config.json and weights."""
    if not (folder / "config.json").is_file():
        raise EngineError(f"engine.model {folder}: no config.json in it: give the folder of a downloaded model")
    if not any(next(folder.glob(pattern), None) for pattern in _WEIGHTS):
        raise EngineError(
            f"engine.model {folder}: no weights in it ({', '.join(_WEIGHTS)}): download the complete model again"
        )
