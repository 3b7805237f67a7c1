"""Several cachelabs at once on one SQLite file, and surroundings that lack something."""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from faults.attacks import LONG, RUN, SWEEP, Attack
from faults.processes import Fresh, Warm, environment, left_behind, statuses, wait

pytestmark = pytest.mark.slow

NewFolder = Callable[[str], Path]
RUNS = 30 if LONG else 6
WITHOUT_RIGHTS = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
"""Root without its capabilities is held to the modes of files, as any user is."""


def test_parallel_runs_on_a_new_database_are_all_tracked(warm: Warm, tmp_path: Path) -> None:
    attacked = Attack("parallel runs that make one SQLite database")
    processes = [warm.start(tmp_path, *RUN, f"hydra.run.dir=run{i}") for i in range(RUNS)]
    for process in processes:
        with attacked.at(f"process {process.pid}"):
            assert wait(process, 500) == 0, (tmp_path / "err").read_text()
    with attacked.at("the database"):
        assert statuses(tmp_path) == ["FINISHED"] * RUNS
        assert left_behind(tmp_path) == []
    attacked.end()


def test_two_sweeps_at_once_share_a_database(warm: Warm, tmp_path: Path) -> None:
    attacked = Attack("two sweeps at once on one SQLite database")
    others = [argument.replace("257,300", "258,301") for argument in SWEEP]
    processes = [
        warm.start(tmp_path, *arguments, f"hydra.sweep.dir=sweep{i}") for i, arguments in enumerate((SWEEP, others))
    ]
    for i, process in enumerate(processes):
        with attacked.at(f"sweep {i}"):
            assert wait(process, 500) == 0, (tmp_path / "err").read_text()
            assert (tmp_path / f"sweep{i}" / "sweep" / "jobs.parquet").is_file()
    with attacked.at("the database"):
        assert statuses(tmp_path) == ["FINISHED"] * 6
    attacked.end()


def restricted() -> Sequence[str]:
    """What a command of a user without rights begins with; skips where there is no way to be one."""
    if os.geteuid() != 0:
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("root cannot give up its rights here: there is no setpriv")
    return WITHOUT_RIGHTS


def without(*names: str, **more: str) -> Mapping[str, str]:
    return {key: value for key, value in environment(**more).items() if key not in names}


@pytest.mark.parametrize(
    ("what", "env"),
    [
        ("no HOME", without("HOME", "XDG_CACHE_HOME")),
        pytest.param("LANG=C", without(LC_ALL="C", LANG="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")),
    ],
)
def test_run_in_surroundings_that_lack_something_is_finished(
    new_folder: NewFolder, what: str, env: Mapping[str, str]
) -> None:
    folder = new_folder("run")
    attacked = Attack(f"a run with {what}")
    with attacked.at(what):
        assert wait(Fresh(folder, *RUN, env=env)) == 0, (folder / "err").read_text()
        assert statuses(folder) == ["FINISHED"]
        assert (folder / "err").read_text() == ""
    attacked.end()


@pytest.mark.parametrize("elsewhere", [False, pytest.param(True, marks=pytest.mark.faults)])
def test_run_without_rights_in_a_read_only_folder(tmp_path: Path, new_folder: NewFolder, elsewhere: bool) -> None:
    """One line, or a run whose files, caches and database are named to be elsewhere."""
    prefix = restricted()
    folder, writable = tmp_path / "read_only", new_folder("writable")
    folder.mkdir()
    arguments = [*RUN, f"cache_dir={writable / 'cache'}"]
    if elsewhere:
        arguments += [f"hydra.run.dir={writable}/run", f"tracking.uri=sqlite:///{writable}/mlflow.db"]
    attacked = Attack(f"a user without rights, read-only folder, files elsewhere: {elsewhere}")
    env = without("XDG_CACHE_HOME", HOME="/nonexistent")
    for name in ("out", "err"):
        (folder / name).touch()
    folder.chmod(0o555)
    try:
        with attacked.at("a run"):
            code = wait(Fresh(folder, *arguments, env=env, prefix=prefix))
            err = (folder / "err").read_text()
            if elsewhere:
                assert (code, err) == (0, "")
                assert statuses(writable) == ["FINISHED"]
            else:
                assert code != 0
                (line,) = err.splitlines()
                assert line.startswith("cachelab: ")
                assert "Permission denied" in line
                assert str(folder) in line or "outputs" in line
    finally:
        folder.chmod(0o755)
    attacked.end()
