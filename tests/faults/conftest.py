"""The fault suite: short by default; long, with the table of its ledger, where CACHELAB_FAULTS_MOMENTS is set."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from faults.attacks import LONG
from faults.processes import PLAIN, Warm

MOMENTS = int(os.environ.get("CACHELAB_FAULTS_MOMENTS", "3"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the long form to `make faults`."""
    for item in items:
        if item.get_closest_marker("faults") and not LONG:
            item.add_marker(pytest.mark.skip(reason="the long form (make faults)"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was tried, held and lost, if a ledger was kept."""
    path = Path(os.environ.get("CACHELAB_FAULTS_LEDGER", ""))
    if not path.is_file():
        return
    terminalreporter.section("tried, held, lost")
    terminalreporter.write_line("| attack | tried | held | lost |")
    terminalreporter.write_line("|---|---|---|---|")
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        terminalreporter.write_line(f"| {row['attack']} | {row['tried']:,} | {row['held']:,} | {row['lost']:,} |")


@pytest.fixture
def moments(request: pytest.FixtureRequest) -> Callable[[float], list[float]]:
    """Random moments (seconds) of something that takes so long: the same ones in every run of a test."""
    return lambda longest_s: [Random(f"{request.node.name} {i}").uniform(0.0, longest_s) for i in range(MOMENTS)]


@pytest.fixture(scope="session")
def patience_s() -> float:
    """Seconds within which a signal must have ended a run; the short form may share its machine with other tests."""
    return 5.0 if LONG else 20.0


@pytest.fixture(scope="session")
def warm() -> Warm:
    """A process to fork from."""
    return PLAIN


@pytest.fixture
def new_folder(tmp_path: Path, empty_database: Path) -> Callable[[str], Path]:
    """A new folder with a tracking database without runs."""

    def make(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        shutil.copy(empty_database, folder / "mlflow.db")
        return folder

    return make
