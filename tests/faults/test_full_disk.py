"""A disk that fills up: one line, what is complete stays, the rest is removed (short form: test_output, test_kept)."""

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from faults.attacks import Attack
from faults.processes import Fresh, environment, left_behind, wait

pytestmark = [pytest.mark.slow, pytest.mark.faults]

RUN = ("experiment=multi_turn", "engine=replay")
ELSEWHERE = "the store is on another disk"


@pytest.fixture
def small_disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file system of its own, of so many KiB; skips where mounting is not allowed."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={request.param}k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this machine does not let us mount a small disk")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def run(folder: Path, logs: Path, *arguments: str) -> tuple[int, list[str]]:
    """Exit code and lines of stderr; both streams are kept on another disk."""
    logs.mkdir()
    prefix = ("env", "-C", str(folder))
    code = wait(Fresh(logs, *RUN, *arguments, prefix=prefix, env=environment()))
    return code, (logs / "err").read_text().splitlines()


@pytest.mark.parametrize(
    ("small_disk", "where"),
    [(100, ELSEWHERE), (300, ELSEWHERE), (900, "all here"), (1500, "all here")],
    indirect=["small_disk"],
)
def test_run_on_a_full_disk_is_one_line_and_failed(small_disk: Path, tmp_path: Path, where: str) -> None:
    store = (tmp_path if where == ELSEWHERE else small_disk) / "mlflow.db"
    attacked = Attack(f"full disk, {where}")
    with attacked.at(str(small_disk)):
        code, lines = run(small_disk, tmp_path / "logs", f"tracking.uri=sqlite:///{store}")
        assert code == 1
        assert lines, "nothing was said"
        assert all(line.startswith(("cachelab: ", "WARNING cachelab.")) for line in lines), lines
        assert any(str(small_disk) in line and "needed" in line for line in lines), lines
        assert left_behind(small_disk) == []
        for folder in small_disk.glob("outputs/*/*/artifacts"):
            assert (folder / "summary.md").is_file()  # the last one that is written
        if store.exists() and store.stat().st_size:
            with sqlite3.connect(store) as connection:
                assert connection.execute("select status from runs").fetchall() == [("FAILED",)]
    attacked.end()


@pytest.mark.parametrize("small_disk", [100], indirect=True)
def test_sweep_on_a_full_disk_is_failed_with_its_jobs(small_disk: Path, tmp_path: Path) -> None:
    attacked = Attack("full disk, a sweep")
    with attacked.at(str(small_disk)):
        store = tmp_path / "mlflow.db"
        arguments = ("--multirun", "engine.num_blocks=257,300", f"tracking.uri=sqlite:///{store}")
        code, lines = run(small_disk, tmp_path / "logs", *arguments)
        assert code == 1
        assert str(small_disk) in lines[-1]
        assert "No space left on device" in lines[-1]
        with sqlite3.connect(store) as connection:
            assert set(connection.execute("select status from runs")) == {("FAILED",)}
        assert left_behind(small_disk) == []
    attacked.end()


def test_full_stdout_does_not_change_what_a_run_or_a_sweep_is(tmp_path: Path) -> None:
    attacked = Attack("/dev/full as stdout")
    for name, arguments in (("run", ()), ("sweep", ("--multirun", "engine.num_blocks=257,300"))):
        with attacked.at(name), open("/dev/full", "w") as full:
            process = Fresh(tmp_path / name, *RUN, *arguments, stdout=full)
            assert wait(process) == 1
            (line,) = (tmp_path / name / "err").read_text().splitlines()
            assert line.startswith("cachelab: standard output could not be written")
            with sqlite3.connect(tmp_path / name / "mlflow.db") as connection:
                assert set(connection.execute("select status from runs")) == {("FINISHED",)}
    attacked.end()
