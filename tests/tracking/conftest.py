"""An SQLite store that all tests of the folder share (creating one takes seconds), and a description of a run."""

from pathlib import Path

import pytest
from mlflow import MlflowClient

from cachelab.tracking.description import RunDescription, describe
from cachelab.tracking.mlflow.tracking import MlflowTracking


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"


@pytest.fixture(scope="session")
def client(store: str) -> MlflowClient:
    return MlflowClient(store, store)


@pytest.fixture
def tracking(store: str) -> MlflowTracking:
    return MlflowTracking(uri=store, experiment="cachelab tests", run_name=None, tags={})


@pytest.fixture
def description(tmp_path: Path) -> RunDescription:
    (tmp_path / "cachelab.log").write_text("a line of the log\n")
    return describe(
        run_name="multi_turn",
        config={"engine": {"block_size": 8, "args": {}, "enable_prefix_caching": True}, "cache_dir": None},
        config_yaml="engine:\n  block_size: 8\n",
        overrides=["experiment=multi_turn"],
        command="python -m cachelab experiment=multi_turn",
        engine="sim",
        engine_version="0.32.0",
        output_dir=tmp_path,
    )
