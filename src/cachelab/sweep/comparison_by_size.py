"""Compares the arms of a sweep over sizes, at each size, and writes table, verdicts and figure."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from cachelab.report.section import Section
from cachelab.sweep.comparison import ALL_TIERS, HEADLINE, Comparison, arm_of, compare
from cachelab.sweep.sweep_job import SweepJob

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)

Tables = Mapping[int, Mapping[str, Sequence[Any]]]
"""The columns of requests.parquet by number of job."""

ArmAndSize = tuple[str, int]

_OF_VERDICT = (HEADLINE, ALL_TIERS)  # an interval takes seconds with 10,000 conversations


class BySize(Protocol):
    """The finished jobs of a sweep by arm and size, and what is shown of them."""

    @property
    def jobs(self) -> Mapping[ArmAndSize, SweepJob]: ...

    @property
    def section(self) -> Section: ...

    @property
    def verdicts(self) -> Sequence[str]: ...


Found = TypeVar("Found", bound=BySize)


def compare_by_size(
    jobs: Mapping[ArmAndSize, SweepJob], tables: Tables, baseline: str, name: Callable[[str, int], str]
) -> dict[ArmAndSize, Comparison]:
    """Each arm compared with the baseline at the same size, where both jobs have a table.

    `name`: the name of an arm at a size in the verdict.
    """
    comparisons: dict[ArmAndSize, Comparison] = {}
    for (arm, size), job in jobs.items():
        base = jobs.get((baseline, size))
        if base is None or arm == baseline or not {job.number, base.number} <= tables.keys():
            continue
        other = arm_of(name(baseline, size), tables[base.number])
        comparisons[arm, size] = compare(arm_of(name(arm, size), tables[job.number]), other, rates=_OF_VERDICT)
    return comparisons


def write_by_size(
    folder: Path,
    since_ms: int,
    stem: str,
    compare_jobs: Callable[[Sequence[SweepJob], Tables], Found],
    draw: Callable[[Found], "Figure | None"],
) -> Path | None:
    """Compare the jobs below a sweep's folder that started since then (milliseconds since 1970).

    Writes `stem`.md and, if there is a figure, `stem`.png and .svg, and prints the table and the verdicts. Returns the
    path of the table; None if fewer than two jobs can be compared.
    """
    from cachelab.report.console import print_tables
    from cachelab.report.style import save
    from cachelab.report.summary import table as markdown
    from cachelab.sweep.local_jobs import local_jobs, read_requests

    jobs = sorted(local_jobs(folder, since_ms), key=lambda job: job.number)
    files = {job.number: job.folder / "requests.parquet" for job in jobs if job.finished and job.folder is not None}
    tables = {number: read_requests(file) for number, file in files.items() if file.is_file()}
    found = compare_jobs(jobs, tables)
    if len(found.jobs) < 2:
        return None
    path = folder / f"{stem}.md"
    lines = [f"- {verdict}" for verdict in found.verdicts]
    path.write_text("\n\n".join([markdown(found.section), "\n".join(lines)]) + "\n", encoding="utf-8")
    if (figure := draw(found)) is not None:
        save(figure, folder, stem)
    print_tables([found.section], path.name)
    for verdict in found.verdicts:
        print(verdict)
    log.info("the jobs are compared in %s", path)
    return path
