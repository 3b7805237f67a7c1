"""SIGINT, SIGTERM and SIGHUP at random moments: KILLED, with the exit code of the signal, within seconds."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path

import pytest

from faults.attacks import RUN, SEARCH, SWEEP, Attack
from faults.command import WITH_VLLM
from faults.processes import Forked, Fresh, Warm, attack, environment, left_behind, statuses, timed, wait

pytestmark = pytest.mark.slow

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
Moments = Callable[[float], list[float]]
NewFolder = Callable[[str], Path]


def disturb(process: Fresh | Forked, folder: Path, number: int, after_s: float, patience_s: float) -> list[str]:
    """Send the signal, hold the process to its promises, and give the statuses of its runs, latest last."""
    if not attack(process, number, after_s):
        assert wait(process) == 0
        return []
    sent = time.monotonic()
    code = wait(process, timeout_s=60)
    took = time.monotonic() - sent
    found = statuses(folder)
    told = f"code {code}, {found}, {took:.1f} s"
    assert took < patience_s, told
    # -15 is what a shell shows as 143: before cachelab's first line has run, and after its last one.
    early_or_late = not found or set(found) == {"FINISHED"}
    assert code == 128 + number or (code == -number and early_or_late), told
    assert set(found) <= {"KILLED", "FINISHED"}, told
    assert left_behind(folder) == [], told
    err = (folder / "err").read_text()
    # Ctrl-C while Python itself is starting is answered by Python.
    assert "Traceback" not in err or not found, err
    return found


@pytest.mark.parametrize("fresh", [pytest.param(True, marks=pytest.mark.faults, id="from_the_start"), False])
def test_signal_ends_a_run_as_killed(
    warm: Warm, new_folder: NewFolder, moments: Moments, patience_s: float, fresh: bool
) -> None:
    start = Fresh if fresh else warm.start
    longest = timed(start(new_folder("undisturbed"), *RUN))
    attacked = Attack(f"signal to a run {'from its start' if fresh else 'with its libraries imported'}")
    for i, (after_s, number) in enumerate(zip(moments(longest), cycle(SIGNALS))):
        folder = new_folder(f"run{i}")
        with attacked.at(f"{signal.Signals(number).name} after {after_s:.2f} of {longest:.2f} s"):
            found = disturb(start(folder, *RUN), folder, number, after_s, patience_s)
            assert len(found) <= 1
    attacked.end()


@pytest.mark.parametrize(
    ("what", "arguments"), [("sweep", SWEEP), pytest.param("search", SEARCH, marks=pytest.mark.faults)]
)
def test_signal_ends_a_sweep_as_killed_and_starts_no_further_job(
    warm: Warm, new_folder: NewFolder, moments: Moments, patience_s: float, what: str, arguments: Sequence[str]
) -> None:
    longest = timed(warm.start(new_folder("undisturbed"), *arguments))
    attacked = Attack(f"signal to a {what}")
    for i, (after_s, number) in enumerate(zip(moments(longest), cycle(SIGNALS))):
        folder = new_folder(f"run{i}")
        with attacked.at(f"{signal.Signals(number).name} after {after_s:.2f} of {longest:.2f} s"):
            found = disturb(warm.start(folder, *arguments), folder, number, after_s, patience_s)
            parent, *jobs = found or [""]
            assert parent in ("", "KILLED", "FINISHED"), found
            assert set(jobs[:-1]) <= {"FINISHED"}, found  # only the one under way was killed
    attacked.end()


def test_signal_ends_a_real_engine_that_waits_for_its_requests(new_folder: NewFolder, patience_s: float) -> None:
    folder = new_folder("waits")
    turns = [{"role": "user", "content": "Hello there"}, {"role": "assistant", "content": "Hi"}]
    (folder / "chat.json").write_text(json.dumps([{"id": name, "messages": turns} for name in "ab"]))
    order = ("order=timed", "order.start=uniform", "order.rate=0.001")
    process = WITH_VLLM.start(folder, "dataset.path=chat.json", "engine=cpu", *order)
    err, end = folder / "err", time.monotonic() + 300
    while not err.exists() or "the engine waits for its requests" not in err.read_text():
        assert time.monotonic() < end
        assert process.poll() is None, err.read_text()
        time.sleep(0.1)
    # The first request takes a fraction of a second; the second one enters after 1,000 s.
    assert disturb(process, folder, signal.SIGINT, 3.0, patience_s) == ["KILLED"]
    assert "interrupted: the run is tracked as far as it got" in err.read_text()


def test_signals_that_come_twice_do_not_disturb_the_end(
    warm: Warm, new_folder: NewFolder, moments: Moments, patience_s: float
) -> None:
    longest = timed(warm.start(new_folder("undisturbed"), *RUN))
    attacked = Attack("Ctrl-C again and again")
    for i, after_s in enumerate(moments(longest)):
        folder = new_folder(f"run{i}")
        with attacked.at(f"after {after_s:.2f} of {longest:.2f} s"):
            process = warm.start(folder, *RUN)
            if attack(process, signal.SIGINT, after_s):
                while attack(process, signal.SIGINT, 0.02):
                    pass
            code = wait(process, patience_s)
            assert code in (0, 130, -2)
            assert set(statuses(folder)) <= {"KILLED", "FINISHED"}, statuses(folder)
            assert left_behind(folder) == []
    attacked.end()


SWALLOWED = """
import os, signal, sys, weakref
from cachelab import pipeline as experiment
from cachelab.cli import main

prepare = experiment.prepare

class Thing: pass

def interrupted(parts):
    thing = Thing()
    reference = weakref.ref(thing, lambda _: os.kill(os.getpid(), signal.{name}))
    del thing
    return prepare(parts)

experiment.prepare = interrupted
sys.argv = ["cachelab", "--multirun", "experiment=simple", "engine=replay", "tracking=none", "artifacts=[]",
    "engine.num_blocks=1025,1026,1027", "hydra.sweep.dir=out"]
main()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.faults)])
def test_signal_swallowed_by_a_weakref_callback_starts_no_further_job(tmp_path: Path, number: signal.Signals) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SWALLOWED.format(name=number.name)],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 128 + number, done.stderr
    assert "Traceback" not in done.stderr
    assert [path.parent.name for path in tmp_path.glob("out/*/result.json")] == ["0"]
    assert '"status": "KILLED"' in (tmp_path / "out" / "0" / "result.json").read_text()
