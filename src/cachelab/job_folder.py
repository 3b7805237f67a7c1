"""The folder of a job on its own: its name, and what an interrupted or refused command leaves there."""

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

_OF_HYDRA = {".hydra", "cachelab.log"}
"""What Hydra writes before a job starts."""

_MAX_NAME = 60


def named_folder(folder: str, run_name: str, overrides: Sequence[str]) -> str:
    """The folder with the run's name behind it (`outputs/DATE/TIME_multi_turn`), unless an override names a folder."""
    if any(override.startswith("hydra.run.dir=") for override in overrides):
        return folder
    return f"{folder}_{re.sub('[^A-Za-z0-9._]+', '-', run_name)[:_MAX_NAME].strip('-')}"


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


def left_by_refused(folder: Path) -> str:
    """What a command left that was refused after its run had begun, as the end of a sentence; "" if nothing."""
    return f"; its record and its log are in {folder}" if (folder / "result.json").is_file() else ""


def kept_files(folder: Path) -> str:
    """What an interrupted run left, as the end of a sentence."""
    record = folder / "result.json"
    if not record.is_file():
        return f"the run had not begun; its configuration and log are in {folder}"
    what = "results, configuration and log" if (folder / "artifacts").is_dir() else "configuration and log"
    kept = "tracked" if json.loads(record.read_text(encoding="utf-8")).get("run_id") else "recorded"
    return f"the run is {kept} as far as it got; its {what} are in {folder}"
