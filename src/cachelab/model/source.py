"""Where an engine's model comes from: the tiny one, a folder, or the hub."""

from pathlib import Path

from cachelab.errors import EngineError
from cachelab.model.hub import is_path, why_refused
from cachelab.model.tiny_model import default_cache_dir, tiny_model, vocabulary_for

TINY = "tiny"
_WEIGHTS = ("*.safetensors", "*.bin", "*.pt", "*.pth")


def find_model(model: str, cache_dir: str | None, largest_token_id: int) -> str:
    """A folder, or a hub id that the hub gives. Raises EngineError that says what is missing."""
    if model == TINY:
        folder = Path(cache_dir) if cache_dir else default_cache_dir()
        try:
            return str(tiny_model(folder, vocabulary_for(largest_token_id)))
        except OSError as error:
            raise EngineError(
                f"engine.model_cache_dir: the tiny model cannot be built in {folder} ({error.strerror or error}): "
                "set engine.model_cache_dir to a folder that can be written"
            ) from error
    if Path(model).is_dir():
        check_folder(Path(model))
        return model
    if is_path(model):
        raise EngineError(f"engine.model {model}: no such folder: give a model's folder, its id on the hub, or {TINY}")
    if (cached := _cached(model)) is not None:
        check_folder(cached)
        return str(cached)
    if reason := why_refused(model):
        raise EngineError(
            f"engine.model {model}: neither a folder nor in the local Hugging Face cache, and the hub does not give it "
            f"({reason}): give a model's folder, run `hf download {model}` where there is a network (and a login, if "
            f"the model wants one), or take engine.model={TINY}"
        )
    return model


def check_folder(folder: Path) -> None:
    """Raises EngineError unless the folder holds a config.json and weights."""
    if not (folder / "config.json").is_file():
        raise EngineError(f"engine.model {folder}: no config.json in it: give the folder of a downloaded model")
    if not any(next(folder.glob(pattern), None) for pattern in _WEIGHTS):
        raise EngineError(
            f"engine.model {folder}: no weights in it ({', '.join(_WEIGHTS)}): download the model again, whole"
        )


def _cached(model: str) -> Path | None:
    """The model's folder in the local Hugging Face cache."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(model, local_files_only=True))
    except LocalEntryNotFoundError:
        return None
    except HFValidationError as error:
        raise EngineError(f"engine.model {model}: not a hub id ({error}): give a folder or an id") from error
