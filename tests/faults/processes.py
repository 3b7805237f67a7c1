"""cachelab in a process that can be attacked, fresh or forked from one that has the libraries imported."""

import contextlib
import json
import os
import signal
import socket
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
    """A process from which cachelabs are forked; all test processes of one test run share it."""

    def __init__(self, name: str, *modules: str) -> None:
        """`name` stands for the modules that it has imported."""
        run = os.environ.get("PYTEST_XDIST_TESTRUNUID") or str(os.getpid())
        self._address, self._modules = f"cachelab-tests-{run}-{name}", modules
        self._stays: socket.socket | None = None

    def start(self, folder: Path, *arguments: str, **env: str) -> "Forked":
        """A command in the folder; stdout and stderr go to `out` and `err` there."""
        return self.fork(folder, *arguments, environment=environment(**env), out="out", err="err")

    def fork(self, folder: Path, *arguments: str, **options: Any) -> "Forked":
        """A command with the other keys that warm.py lists."""
        if self._stays is None:
            self._stays = self._connected()
        folder.mkdir(parents=True, exist_ok=True)
        command = {"run": arguments, "folder": str(folder), "user": None, "exits_at_once": False, **options}
        return Forked(self._connection(), command)

    def _connected(self) -> socket.socket:
        """The connection for as long as this process lives; starts the process to fork from where there is none."""
        program = [sys.executable, str(Path(__file__).with_name("warm.py")), self._address, *self._modules]
        for _ in range(100):
            with contextlib.suppress(ConnectionError, EOFError):  # nobody is there yet, or was about to end
                connection = self._connection()
                ask(connection, {"stay": True})
                return connection
            subprocess.run(program, env=environment(), check=True)
        raise RuntimeError("the process to fork from does not start: " + " ".join(program))

    def _connection(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(f"\0{self._address}")
        return connection


def ask(connection: socket.socket, command: Any = None) -> Any:
    """The answer to a command, or to an empty line. Raises EOFError if the other process has ended."""
    connection.sendall(b"\n" if command is None else json.dumps(command).encode() + b"\n")
    line = connection.recv(100)
    if not line:
        raise EOFError("the process that forks has ended")
    return json.loads(line)


LIBRARIES = (
    "alembic.command",
    "datasets",
    "hydra.main",
    "matplotlib.pyplot",
    "mistral_common.tokens.tokenizers.mistral",
    "mlflow.store.tracking.sqlalchemy_workspace_store",
    "numba",
    "optuna.storages",
    "pyarrow.parquet",
    "scipy.stats",
    "sqlalchemy.dialects.sqlite",
    "hydra_plugins.hydra_optuna_sweeper._impl",
    "cachelab.cli",
    "cachelab.report.*",
    "cachelab.sweep.*",
    "cachelab.tracking.*",
)
PLAIN = Warm("plain", *LIBRARIES)
"""Has imported what a replay, a sweep and a search need."""


class Forked:
    """One forked cachelab."""

    def __init__(self, connection: socket.socket, command: Mapping[str, Any]) -> None:
        self._connection = connection
        self.pid: int = ask(connection, command)
        self._code: int | None = None

    def poll(self) -> int | None:
        if self._code is None and (code := ask(self._connection)) is not None:
            self._code = code
            self._connection.close()
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
        time.sleep(0.03)  # a poll of a forked process is an answer of another one
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
