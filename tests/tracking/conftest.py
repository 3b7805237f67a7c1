"""An MLflow store on SQLite, made once and copied for each test."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cachelab.tracking.mlflow import MlflowTracking
from cachelab.tracking.mlflow_store import MlflowStore


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    with MlflowTracking(f"sqlite:///{path}", "cachelab", None, {}).open():
        pass
    return path


@pytest.fixture
def tracking(tmp_path: Path, empty_database: Path) -> MlflowTracking:
    path = tmp_path / "mlflow.db"
    shutil.copyfile(empty_database, path)
    return MlflowTracking(f"sqlite:///{path}", f"sweeps of {tmp_path.name}", None, {})


@pytest.fixture
def store(tracking: MlflowTracking) -> Iterator[MlflowStore]:
    with tracking.open() as opened:
        yield opened
