"""The gate of a sweep: the jobs that do not meet the bounds of `require`."""

from collections.abc import Mapping, Sequence

from cachelab.requirement import SETTING, unmet
from cachelab.sweep.sweep_job import SweepJob, labels


def unmet_lines(jobs: Sequence[SweepJob], require: Mapping[str, str], best: Sequence[int] | None = None) -> list[str]:
    """One line per bound that a job does not meet.

    `require` are the bounds of the sweep's own config, which a reused job must meet; each other job has its own bounds.
    `best` are the numbers of a search's best trials (None: no search). Each finished job of a sweep must meet its
    bounds; of a search only the best trials, since the others are attempts. Failed jobs end the sweep with an error.
    """
    if best is not None and not best and require:
        return [f"{SETTING}: the search has no best trial that could meet a bound"]
    found: list[str] = []
    for job, label in zip(jobs, labels(jobs), strict=True):
        if job.finished and (best is None or job.number in best):
            name = label if label.startswith("#") else f"#{job.number} {label}"
            failing = unmet(require if job.reused else job.require, job.values, _why_absent)
            found += [f"{name}: {line}" for line in failing]
    return found


def _why_absent(metric: str) -> str:
    return "the log of the job says why"
