"""What every test may use: hand-made requests, the repository and the shared data."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock
from hypothesis import settings

if TYPE_CHECKING:
    from cachelab.tracking.mlflow.store import MlflowStore
    from cachelab.tracking.mlflow.tracking import MlflowTracking

# A first example may compile or load compiled loops: how long one takes says nothing.
settings.register_profile("cachelab", deadline=None)
settings.load_profile("cachelab")

# nohup and a shell's "&" start a process with these signals ignored, and child processes inherit that. cachelab leaves
# an ignored signal ignored, as it should, so the tests of signals would fail.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"


def _shared_data(name: str) -> Path:
    path = SHARED / "data" / name
    if not path.exists():
        pytest.skip("the shared data is not on this machine")
    return path


@pytest.fixture(scope="session")
def repository() -> Path:
    """The top of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def real_sharegpt() -> Path:
    """The 700 real conversations; skips where they are absent."""
    return _shared_data("sharegpt_v3_sample_700.json")


@pytest.fixture(scope="session")
def common_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all test processes of this test run share."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "common"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session", autouse=True)
def _common_cache(common_folder: Path) -> Iterator[None]:
    """Tests build a tiny model, tokenize the sample and list the fonts once, beside the user's own cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(common_folder / "cache"))
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what needs a GPU where there is none."""
    if not any(item.get_closest_marker("gpu") for item in items) or Path("/dev/nvidia0").exists():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="needs an NVIDIA GPU"))


@pytest.fixture(scope="session")
def mooncake() -> Path:
    """Mooncake's conversation trace; skips where it is absent."""
    return _shared_data("mooncake_conversation_trace.jsonl")


@pytest.fixture(scope="session")
def empty_database(common_folder: Path) -> Path:
    """An MLflow database without a run, to be copied: making one takes longer than most runs."""
    from mlflow import MlflowClient

    path = common_folder / "mlflow.db"
    with FileLock(f"{path}.lock"):
        if not path.exists():
            MlflowClient(f"sqlite:///{path}.part").search_experiments()
            path.with_name("mlflow.db.part").rename(path)
    return path


@pytest.fixture
def own_tracking(tmp_path: Path, empty_database: Path) -> "MlflowTracking":
    """A store that no other test writes to."""
    from cachelab.tracking.mlflow.tracking import MlflowTracking

    path = tmp_path / "mlflow.db"
    shutil.copyfile(empty_database, path)
    return MlflowTracking(f"sqlite:///{path}", f"sweeps of {tmp_path.name}", None, {})


@pytest.fixture
def own_store(own_tracking: "MlflowTracking") -> "Iterator[MlflowStore]":
    """The same store, opened."""
    with own_tracking.open() as opened:
        yield opened


@pytest.fixture(scope="session")
def agent_traces() -> Path:
    """The folder of real agent workloads; skips where it is absent."""
    return _shared_data("agent_traces")
