"""Folders and ids on the Hugging Face hub: how a model may be named."""

from pathlib import Path

from cachelab.error_format import reason


def is_path(model: str) -> bool:
    """Whether a name can only mean a folder: a hub id is a name, or an owner and a name."""
    folder = Path(model)
    return folder.is_absolute() or folder.exists() or model.startswith((".", "~")) or len(folder.parts) > 2


def why_refused(model: str) -> str | None:
    """Why the hub does not give a model; None if it does.

    One short request: the libraries on top of the hub repeat theirs for most of a minute when there is no network.
    """
    from huggingface_hub import HfApi

    try:
        HfApi().model_info(model, timeout=5)
    except Exception as error:  # its HTTP client's errors share no base with OSError
        return reason(error)
    return None


shortened = reason
"""The old name, which tokenizer/ imports."""
