"""The folder of a job on its own: what an interrupted or refused command leaves there."""

import shutil
from pathlib import Path

_OF_HYDRA = {".hydra", "cachelab.log"}
"""What Hydra writes before a job starts."""


def remove_if_unused(folder: Path) -> None:
    """Remove the folder of a refused command if only Hydra wrote to it, and the folders above it that are then empty.

    Nothing outside the working directory is removed.
    """
    if not folder.is_dir() or {path.name for path in folder.iterdir()} - _OF_HYDRA:
        return
    parents = [parent for parent in folder.absolute().parents if Path.cwd() in parent.parents]
    if Path.cwd() not in folder.absolute().parents:
        return
    shutil.rmtree(folder, ignore_errors=True)
    for parent in parents:
        if any(parent.iterdir()):
            return
        parent.rmdir()


def kept_files(folder: Path) -> str:
    """What an interrupted run left, as the end of a sentence."""
    if not (folder / "result.json").is_file():
        return f"the run had not begun; its configuration and log are in {folder}"
    what = "results, configuration and log" if (folder / "artifacts").is_dir() else "configuration and log"
    return f"the run is tracked as far as it got; its {what} are in {folder}"
