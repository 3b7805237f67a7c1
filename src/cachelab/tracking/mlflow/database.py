"""A new MLflow database on SQLite, which appears when it is whole; imports MLflow."""

import os
from pathlib import Path

from filelock import FileLock
from mlflow import MlflowClient

from cachelab.disk import writing


def make_database(path: Path) -> None:
    """Make the database if there is none (or an empty file).

    MLflow migrates a new file step by step: one that is interrupted meanwhile, or that two processes open at once, can
    never be opened again. So it is made under another name, behind a lock, and renamed.
    """
    if path.exists() and path.stat().st_size:
        return
    lock = FileLock(f"{path}.lock")
    try:
        with lock:
            if not path.exists() or not path.stat().st_size:  # while this one waited, another may have made it
                _make(path)
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)


def _make(path: Path) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with writing(
            part, "choose a database on another disk (tracking.uri=sqlite:///FILE), or run with tracking=none"
        ):
            uri = f"sqlite:///{part}"
            MlflowClient(tracking_uri=uri, registry_uri=uri).search_experiments(max_results=1)
            part.rename(path)
    finally:
        for left in (part, Path(f"{part}-journal")):
            left.unlink(missing_ok=True)
