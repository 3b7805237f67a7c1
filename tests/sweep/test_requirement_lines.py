"""The gate of a sweep: which jobs must meet the bounds."""

from typing import Any

from cachelab.sweep.requirement_lines import unmet_lines
from cachelab.sweep.sweep_job import SweepJob

BOUND = {"hit_rate/first_prefill": ">= 0.8"}


def job(number: int, rate: float | None, status: str = "FINISHED", **more: Any) -> SweepJob:
    values = {} if rate is None else {"hit_rate/first_prefill": rate}
    return SweepJob(number, (f"order={'abcdef'[number]}",), status, values=values, **({"require": BOUND} | more))


def test_each_finished_job_must_meet_its_bounds() -> None:
    jobs = [job(0, 0.9), job(1, 0.5), job(2, None), job(3, None, "FAILED")]
    assert unmet_lines(jobs, BOUND) == [
        "#1 b: require: hit_rate/first_prefill is 0.5, required >= 0.8",
        "#2 c: require: hit_rate/first_prefill is absent (the log of the job says why), required >= 0.8",
    ]


def test_jobs_have_the_bounds_of_their_own_experiments() -> None:
    jobs = [job(0, 0.7, require={"hit_rate/first_prefill": ">= 0.6"}), job(1, 0.7), job(2, 0.7, require={})]
    assert unmet_lines(jobs, {}) == ["#1 b: require: hit_rate/first_prefill is 0.7, required >= 0.8"]


def test_reused_job_must_meet_the_bounds_of_this_sweep() -> None:
    jobs = [job(0, 0.7, reused=True, require={}), job(1, 0.7, reused=True)]
    assert [line[:2] for line in unmet_lines(jobs, BOUND)] == ["#0", "#1"]
    assert unmet_lines(jobs, {}) == []


def test_search_is_judged_by_its_best_trials() -> None:
    jobs = [job(0, 0.1), job(1, 0.7), job(2, 0.95)]
    assert unmet_lines(jobs, BOUND, [2]) == []
    assert [line[:2] for line in unmet_lines(jobs, BOUND, [1, 2])] == ["#1"]
    assert unmet_lines(jobs, BOUND, []) == ["require: the search has no best trial that could meet a bound"]
    assert unmet_lines(jobs, {}, []) == []
