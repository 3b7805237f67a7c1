"""A new database appears when it is whole."""

import sqlite3
from multiprocessing import get_context
from pathlib import Path

import pytest

from cachelab.tracking.mlflow import database as mlflow_database
from cachelab.tracking.mlflow.database import make_database


def tables(path: Path) -> set[str]:
    with sqlite3.connect(path) as database:
        return {name for (name,) in database.execute("select name from sqlite_master where type = 'table'")}


def test_make_database_interrupted_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(tracking_uri: str, registry_uri: str) -> None:
        Path(tracking_uri.removeprefix("sqlite:///")).write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(mlflow_database, "MlflowClient", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make_database(tmp_path / "mlflow.db")
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == []


def test_make_database_leaves_a_database_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    path.write_text("anything")
    make_database(path)
    assert path.read_text() == "anything"


@pytest.mark.slow
def test_make_database_in_two_processes_at_once_makes_one(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    path.touch()  # as a first look at the file leaves it
    processes = get_context("forkserver")  # which imports MLflow once
    processes.set_forkserver_preload(["cachelab.tracking.mlflow.run", "mlflow.store.tracking.sqlalchemy_store"])
    both = [processes.Process(target=make_database, args=(path,)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(timeout=120)
    assert [process.exitcode for process in both] == [0, 0]
    assert {"experiments", "runs", "alembic_version"} <= tables(path)
    assert [file.name for file in tmp_path.iterdir()] == ["mlflow.db"]
