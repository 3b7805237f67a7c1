"""`python -m cachelab` in a forked process: what it does, without the 18 seconds of imports each time."""

import time
from dataclasses import dataclass
from pathlib import Path

from faults.processes import LIBRARIES, Forked, Warm, environment, wait

WITH_VLLM = Warm(
    "vllm",
    *LIBRARIES,
    "vllm.engine.arg_utils",
    "vllm.v1.engine.core",
    "vllm.v1.executor.abstract",
    "vllm.v1.executor.uniproc_executor",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_svg",
    "cachelab.*",
)
"""Has imported what any run needs."""
NOBODY = 65534


@dataclass(frozen=True)
class Done:
    """A command that ended."""

    code: int
    out: str
    err: str
    seconds: float


def begin(folder: Path, *arguments: str, user: int | None = None, **variables: str) -> Forked:
    """Start the command in the folder; `user`: as whom. Its output goes to `out.txt` and `err.txt` there."""
    files = {"out": "out.txt", "err": "err.txt"}
    for name in files.values():
        (folder / name).unlink(missing_ok=True)
    env = environment(NO_PROXY="127.0.0.1", **variables)
    return WITH_VLLM.fork(folder, *arguments, environment=env, user=user, exits_at_once=True, **files)


def run(folder: Path, *arguments: str, user: int | None = None, limit_s: float = 120, **variables: str) -> Done:
    """Run the command to its end. Raises TimeoutError if it takes longer than the limit."""
    started = time.monotonic()
    process = begin(folder, *arguments, user=user, **variables)
    return end(process, folder, started, limit_s)


def end(process: Forked, folder: Path, started: float, limit_s: float = 120) -> Done:
    """Wait for a command that `begin` started."""
    try:
        code = wait(process, limit_s)
    except TimeoutError as error:
        raise TimeoutError(f"{folder}: {error}\n{(folder / 'err.txt').read_text()}") from error
    out, err = ((folder / name).read_text() for name in ("out.txt", "err.txt"))
    return Done(code, out, err, time.monotonic() - started)
