"""kill -9 at random moments: the store opens, the next start ends what was left, a resumed table is complete."""

import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from faults.attacks import RUN, SEARCH, SWEEP, Attack
from faults.processes import Warm, attack, left_behind, numbers, statuses, table, timed, wait

pytestmark = pytest.mark.slow

Moments = Callable[[float], list[float]]
NewFolder = Callable[[str], Path]


def test_kill_of_a_run_is_told_by_the_next_start(warm: Warm, new_folder: NewFolder, moments: Moments) -> None:
    undisturbed = new_folder("undisturbed")
    longest = timed(warm.start(undisturbed, *RUN))
    folder = new_folder("runs")  # all on one store, as on a user's machine
    attacked = Attack("kill -9 of a run")
    for i, after_s in enumerate(moments(longest)):
        with attacked.at(f"after {after_s:.2f} of {longest:.2f} s"):
            attack(process := warm.start(folder, *RUN, f"hydra.run.dir=killed/{i}"), signal.SIGKILL, after_s)
            wait(process)
            *earlier, _ = ["", *statuses(folder)]
            assert "RUNNING" not in earlier, earlier
            complete = folder / "killed" / str(i) / "artifacts"
            if complete.exists():
                assert (complete / "metrics.json").stat().st_size > 0
    with attacked.at("the next start"):
        assert wait(warm.start(folder, *RUN)) == 0
        assert set(statuses(folder)) <= {"FINISHED", "FAILED"}, statuses(folder)
        assert numbers(folder) == numbers(undisturbed)
    attacked.end()


@pytest.mark.parametrize(("what", "arguments"), [("sweep", SWEEP), ("search", SEARCH)])
def test_kill_of_a_sweep_is_resumed_to_the_undisturbed_table(
    warm: Warm, new_folder: NewFolder, moments: Moments, what: str, arguments: Sequence[str]
) -> None:
    undisturbed = new_folder("undisturbed")
    longest = timed(warm.start(undisturbed, *arguments))
    attacked = Attack(f"kill -9 of a {what}, then resumed")
    for i, after_s in enumerate(moments(longest)):
        with attacked.at(f"after {after_s:.2f} of {longest:.2f} s"):
            folder = new_folder(f"sweep{i}")
            attack(process := warm.start(folder, *arguments), signal.SIGKILL, after_s)
            wait(process)
            found = statuses(folder)
            assert wait(warm.start(folder, *arguments)) == 0, (folder / "err").read_text()
            assert table(folder) == table(undisturbed)
            again = statuses(folder)
            # A sweep that had finished just before is another one; a search goes on with its study.
            assert again == ["FINISHED"] * len(again), (found, again)
            assert [path for path in left_behind(folder) if "mlartifacts" in path.parts] == []
    attacked.end()
