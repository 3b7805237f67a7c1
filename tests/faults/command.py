"""`python -m cachelab` in a forked process: what it does, without the 12 seconds of imports each time."""

import contextlib
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "cachelab.job",
        "cachelab.pipeline",
        "cachelab.report.artifacts",
        "cachelab.sweep.sweep_report",
        "cachelab.sweep.optuna_sweeper",
        "cachelab.tracking.mlflow.run",
        "cachelab.sweep.parent_run",
        "cachelab.sweep.sync",
        "cachelab.prefix_cache.hit_rate_curve",
        "mlflow",
        "numba",
        "pyarrow.parquet",
        "hydra",
        "datasets",
        "scipy.stats",
        "optuna",
    ]
)
NOBODY = 65534


@dataclass(frozen=True)
class Done:
    """A command that ended."""

    code: int
    out: str
    err: str
    seconds: float


def begin(folder: Path, *arguments: str, user: int | None = None, **variables: str) -> Any:
    """Start the command in the folder; `user`: as whom. Its output goes to `out.txt` and `err.txt` there."""
    folder.mkdir(parents=True, exist_ok=True)
    process = CONTEXT.Process(target=_command, args=(str(folder), arguments, variables, user))
    process.start()
    return process


def run(folder: Path, *arguments: str, user: int | None = None, limit_s: float = 120, **variables: str) -> Done:
    """Run the command to its end. Raises TimeoutError if it takes longer than the limit."""
    started = time.monotonic()
    process = begin(folder, *arguments, user=user, **variables)
    return end(process, folder, started, limit_s)


def end(process: Any, folder: Path, started: float, limit_s: float = 120) -> Done:
    """Wait for a command that `begin` started."""
    process.join(limit_s)
    if process.exitcode is None:
        process.kill()
        raise TimeoutError(f"{folder}: not ended after {limit_s} s\n{(folder / 'err.txt').read_text()}")
    out, err = ((folder / name).read_text() for name in ("out.txt", "err.txt"))
    return Done(process.exitcode, out, err, time.monotonic() - started)


def _command(folder: str, arguments: tuple[str, ...], variables: Mapping[str, str], user: int | None) -> None:
    os.chdir(folder)
    for number, name in ((1, "out.txt"), (2, "err.txt")):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666), number)
    if user is not None:
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
    for name in [name for name in os.environ if name.startswith(("MLFLOW_", "HYDRA_", "CACHELAB_"))]:
        del os.environ[name]
    os.environ.update({"COLUMNS": "200", "NO_PROXY": "127.0.0.1", **variables})
    sys.argv = ["cachelab", *arguments]
    code: Any = 0
    from cachelab.cli import main

    with (
        contextlib.redirect_stdout(open(1, "w", closefd=False)),
        contextlib.redirect_stderr(open(2, "w", closefd=False)),
    ):
        try:
            main()
        except SystemExit as exit_:
            code = exit_.code
            if isinstance(code, str):
                print(code, file=sys.stderr)
                code = 1
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code or 0)
