"""One job of a sweep, with its numbers from the store or from its folder."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from cachelab.override import setting_label


@dataclass(frozen=True)
class SweepJob:
    """A job that has started. `folder` holds its files (None: not on this machine), `run_id` is its run in the store.

    `untracked` is the reason why the store does not hold the job. `reused`: the numbers are those of an earlier run of
    the same job in another sweep. `require` are the bounds that the run had to meet.
    """

    number: int
    overrides: Sequence[str]
    status: str
    error: str | None = None
    run_id: str | None = None
    values: Mapping[str, float] = field(default_factory=dict)
    seconds: float | None = None
    folder: Path | None = None
    untracked: str | None = None
    reused: bool = False
    require: Mapping[str, str] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        return self.status == "FINISHED"

    @property
    def settings(self) -> dict[str, str]:
        """The overrides as key -> value."""
        split = (override.lstrip("+~").partition("=") for override in self.overrides)
        return {key: value for key, _, value in split}


def merged(stored: Sequence[SweepJob], local: Sequence[SweepJob]) -> list[SweepJob]:
    """Each job once, sorted by number: from the store with the folder of this machine, else from the folder alone."""
    jobs = {job.number: job for job in local}
    for job in stored:
        here = jobs.get(job.number)
        if here is None:
            jobs[job.number] = job
        elif here.untracked is None:
            jobs[job.number] = replace(job, folder=here.folder)
    return [jobs[number] for number in sorted(jobs)]


def swept(jobs: Sequence[SweepJob]) -> dict[str, list[str]]:
    """The settings that differ between the jobs: key -> values in the order of the jobs."""
    keys = dict.fromkeys(key for job in jobs for key in job.settings)
    values = {key: list(dict.fromkeys(job.settings.get(key, "") for job in jobs)) for key in keys}
    return {key: found for key, found in values.items() if len(found) > 1}


def labels(jobs: Sequence[SweepJob]) -> list[str]:
    """A short, unique label per job: the values of the settings that differ, or else the number."""
    keys = list(swept(jobs))
    found = [", ".join(setting_label(key, job.settings.get(key, "default")) for key in keys) for job in jobs]
    return [
        label if label and found.count(label) == 1 else f"#{job.number} {label}".strip()
        for label, job in zip(found, jobs, strict=True)
    ]


def named(jobs: Sequence[SweepJob], name: str) -> list[SweepJob]:
    """The jobs with these overrides ("trace=single_turn order=by_turn"), this value, this label, or this number."""
    labelled = [job for job, label in zip(jobs, labels(jobs), strict=True) if label == name]
    if labelled:
        return labelled
    if re.fullmatch(r"#\d+", name):
        return [job for job in jobs if job.number == int(name[1:])]
    words = name.split()
    return [job for job in jobs if all(word in job.overrides or word in job.settings.values() for word in words)]
