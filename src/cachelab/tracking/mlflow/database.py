"""Creates an MLflow database on SQLite atomically; imports MLflow."""

from pathlib import Path

from filelock import FileLock
from mlflow import MlflowClient

from cachelab.atomic import atomic_file


def make_database(path: Path) -> None:
    """Create the database if the file is missing or empty. Raises StorageError if the disk is full.

    MLflow migrates a new file step by step. If it is interrupted, or if two processes open the file at once, the file
    can never be opened again. So the database is created under another name, behind a lock, and renamed.
    """
    if path.exists() and path.stat().st_size:
        return
    lock = FileLock(f"{path}.lock")
    try:
        with lock:
            if not path.exists() or not path.stat().st_size:  # another process may have made it meanwhile
                _make(path)
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)


def _make(path: Path) -> None:
    way_out = "choose a database on another disk (tracking.uri=sqlite:///FILE), or run with tracking=none"
    with atomic_file(path, way_out) as part:
        uri = f"sqlite:///{part}"
        try:
            MlflowClient(tracking_uri=uri, registry_uri=uri).search_experiments(max_results=1)
        finally:
            Path(f"{part}-journal").unlink(missing_ok=True)
