"""cachelab in a process that can be attacked, fresh or forked from one that has the libraries imported."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet

ROOT = Path(__file__).resolve().parents[2]
DIFFERENT = {"run_id", "duration_s", "overrides"}
"""Columns of a sweep's table that no two sweeps have in common."""


def environment(**more: str) -> dict[str, str]:
    """This one's without the settings of MLflow and Hydra, and with this checkout's source."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "HYDRA_", "CACHELAB_"))}
    return kept | {"PYTHONPATH": str(ROOT / "src"), "COLUMNS": "200", "PYTHONUNBUFFERED": "1"} | more


class Fresh:
    """`python -m cachelab` from its very start; stdout and stderr go to `out` and `err` in the folder."""

    def __init__(self, folder: Path, *arguments: str, **options: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        env = options.pop("env", environment())
        out = options.pop("stdout", None)
        prefix = options.pop("prefix", ())
        with (folder / "out").open("ab") as stdout, (folder / "err").open("ab") as stderr:
            self._process = subprocess.Popen(
                [*prefix, sys.executable, "-m", "cachelab", *arguments],
                cwd=folder,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=out or stdout,
                stderr=stderr,
                **options,
            )
        self.pid = self._process.pid

    def poll(self) -> int | None:
        return self._process.poll()


class Warm:
    """A process from which cachelabs are forked."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("warm.py"))],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer()

    def start(self, folder: Path, *arguments: str, **env: str) -> "Forked":
        folder.mkdir(parents=True, exist_ok=True)
        return Forked(self, self.ask(start=list(arguments), folder=str(folder), environment=env))

    def ask(self, **command: Any) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the process that forks has died"
        return json.loads(line)

    def close(self) -> None:
        self._process.communicate(timeout=60)


class Forked:
    """One forked cachelab."""

    def __init__(self, warm: Warm, pid: int) -> None:
        self._warm, self.pid, self._code = warm, pid, None

    def poll(self) -> int | None:
        if self._code is None:
            self._code = self._warm.ask(poll=self.pid)
        return self._code


def wait(process: Fresh | Forked, timeout_s: float = 300.0) -> int:
    """The exit code as subprocess gives it. Raises TimeoutError, after killing the process."""
    end = time.monotonic() + timeout_s
    while (code := process.poll()) is None:
        if time.monotonic() > end:
            os.kill(process.pid, signal.SIGKILL)
            while process.poll() is None:
                time.sleep(0.01)
            raise TimeoutError(f"still running after {timeout_s} s")
        time.sleep(0.01)
    return code


def timed(process: Fresh | Forked) -> float:
    """Seconds until a process that nobody disturbs has ended well."""
    start = time.monotonic()
    assert wait(process) == 0
    return time.monotonic() - start


def attack(process: Fresh | Forked, number: int, after_s: float) -> bool:
    """Send a signal after so many seconds; False if the process had ended before."""
    end = time.monotonic() + after_s
    while time.monotonic() < end:
        if process.poll() is not None:
            return False
        time.sleep(min(0.01, max(0.0, end - time.monotonic())))
    # The poll of a forked process takes a while, in which the process may end: then the signal would reach nobody.
    if process.poll() is not None or psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE:
        return False
    os.kill(process.pid, number)
    # A process in exit(2) gives back its memory for a while before it becomes a zombie: no signal reaches it either.
    return not (_exiting(process.pid) and wait(process) == 0)


def _exiting(pid: int) -> bool:
    """Whether the kernel is ending the process: PF_EXITING in the flags, field 9 of /proc/PID/stat."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return bool(int(after_name[6]) & 0x4)


def statuses(folder: Path) -> list[str]:
    """The status of every run in the folder's database, oldest first; [] without one."""
    database = folder / "mlflow.db"
    if not database.exists():
        return []
    with sqlite3.connect(database, timeout=30) as connection:  # to write: SQLite rolls back what a kill left half done
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
        return [status for (status,) in connection.execute("select status from runs order by start_time")]


def table(folder: Path) -> list[Mapping[str, Any]]:
    """The latest sweep's jobs without what differs from run to run."""
    path = max(folder.glob("multirun/*/*/sweep/jobs.parquet"))
    rows = pyarrow.parquet.read_table(path).to_pylist()
    return [{key: value for key, value in row.items() if key not in DIFFERENT} for row in rows]


def numbers(folder: Path) -> Any:
    """metrics.json of the folder's only finished run."""
    (path,) = folder.glob("outputs/*/*/artifacts/metrics.json")
    return json.loads(path.read_text())


def left_behind(folder: Path) -> list[Path]:
    """Half-written files and folders."""
    return [path for path in folder.rglob("*") if path.name.endswith((".part", ".incomplete"))]
