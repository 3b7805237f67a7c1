"""Models on the Hugging Face hub: their names, the local cache, and whether the hub gives them."""

from pathlib import Path

from cachelab.error_format import reason


def is_path(model: str) -> bool:
    """Whether a name can only be a folder. An id on the hub is `name` or `owner/name`."""
    folder = Path(model)
    return folder.is_absolute() or folder.exists() or model.startswith((".", "~")) or len(folder.parts) > 2


def cached_folder(model: str) -> Path | None:
    """The model's folder in the local Hugging Face cache; None if it is not there.

    Raises huggingface_hub.errors.HFValidationError for a name that is no id.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(model, local_files_only=True))
    except LocalEntryNotFoundError:
        return None


def why_refused(model: str) -> str | None:
    """Why the hub does not give a model; None if it does.

    This is one request with a short timeout. The libraries above the hub client retry for most of a minute when there
    is no network.
    """
    from huggingface_hub import HfApi

    try:
        HfApi().model_info(model, timeout=5)
    except Exception as error:  # the errors of its HTTP client share no base class with OSError
        return reason(error)
    return None
