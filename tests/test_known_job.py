"""A job of a sweep that need not be run again."""

import math
from pathlib import Path
from typing import Any

from cachelab.build import build_root
from cachelab.composition import composed
from cachelab.known_job import known_job
from cachelab.tracking.base import FinishedRun
from cachelab.tracking.description import RunDescription
from cachelab.tracking.none import NoTracking
from jobs import described

NOTHING = {"filter/conversations_kept": 0.0, "filter/tokens_kept_share": 0.0}
SOUND = {"filter/conversations_kept": 3.0, "filter/tokens_kept_share": 0.5, "requests/completed": 60.0}


class Finished(NoTracking):
    """A store that holds one finished run of every job."""

    def __init__(self, values: dict[str, float]) -> None:
        object.__setattr__(self, "values", values)

    def find_finished(self, description: RunDescription, *, anywhere: bool) -> FinishedRun:  # type: ignore[override]
        return FinishedRun("run", self.values)  # type: ignore[attr-defined]


def known(folder: Path, values: dict[str, float], *overrides: str, searching: bool) -> Any:
    root = build_root(composed(["experiment=tune_filter", *overrides]).config)
    _, found = known_job(root, Finished(values), described(folder, "parent"), searching=searching)
    return found


def test_known_job_whose_filter_kept_nothing_is_infeasible_again(tmp_path: Path) -> None:
    found = known(tmp_path, NOTHING, searching=True)
    assert math.isnan(found[0])  # the hit rate
    assert found[1] == 0.0
    assert found.outcome.nothing_kept is not None
    assert not found.outcome.feasible
    assert found.outcome.violations == {"requests/completed": 50.0}


def test_known_job_that_kept_nothing_is_run_by_a_grid_which_has_no_use_for_it(tmp_path: Path) -> None:
    assert known(tmp_path, NOTHING, searching=False) is None


def test_known_job_without_its_objective_is_kept_by_a_grid(tmp_path: Path) -> None:
    assert known(tmp_path, SOUND, searching=False) == 0.5  # of two objectives, the one that it has
    assert known(tmp_path, SOUND, "objective=[hit_rate/first_prefill]", searching=False) == ()
    constraint = "++objective_constraints={hit_rate/first_prefill: '>= 0.5'}"
    without = known(tmp_path, SOUND, constraint, searching=False)
    assert without.outcome.violations == {"requests/completed": -10.0}
