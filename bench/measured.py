"""Runs a command in a process of its own and measures CPU time, wall time and memory."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_MEASURE = """
import json, resource, subprocess, sys, time
start = time.perf_counter()
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
wall_s, cpu_s = time.perf_counter() - start, used.ru_utime + used.ru_stime
print(json.dumps({"code": code, "wall_s": wall_s, "cpu_s": cpu_s, "peak_mb": used.ru_maxrss / 1024}))
"""
# A small process, because Linux counts the pages of the process that starts a command as the command's own.


@dataclass(frozen=True)
class Measured:
    """What a command took, with the processes that it started and waited for; `peak_mb` is the largest of them."""

    wall_s: float
    cpu_s: float
    peak_mb: float


class CommandFailed(Exception):
    """The command did not end with 0, or took too long."""


def measure(
    command: Sequence[str],
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout_s: float | None = None,
) -> Measured:
    """Run the command; `env` is added to the environment. Raises CommandFailed with the last line of stderr."""
    process = subprocess.Popen(
        [sys.executable, "-c", _MEASURE, *command],
        env={**os.environ, **(env or {})},
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.communicate()
        raise CommandFailed(f"not done after {timeout_s:.0f} s") from None
    found = json.loads(out.splitlines()[-1]) if out.strip() else {"code": process.returncode}
    if found.pop("code"):
        raise CommandFailed((err.strip().splitlines() or ["no message"])[-1][:200])
    return Measured(**found)
