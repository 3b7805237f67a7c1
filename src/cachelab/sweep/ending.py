"""The end of a sweep: the report on its jobs, and the status and note of its run."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cachelab.error_format import format_error
from cachelab.errors import CachelabError
from cachelab.interrupt import received

if TYPE_CHECKING:
    from cachelab.sweep.study_report import StudyReport
    from cachelab.sweep.sweep_job import SweepJob
    from cachelab.sweep.sweep_report import SweepReport


def report_of(
    name: str,
    stored: "Sequence[SweepJob]",
    local: "Sequence[SweepJob]",
    fetch: "Callable[[SweepJob], Path | None]",
    *,
    baseline: str | None,
    objectives: Sequence[str],
    require: Mapping[str, str],
    study: "StudyReport | None",
    searching: bool,
) -> "tuple[SweepReport, Mapping[str, Mapping[str, Sequence[Any]]]]":
    """The report of a sweep, and the request tables of the compared jobs by the jobs' labels.

    `stored`: the jobs in the store; `local`: those with a folder on this machine. `fetch` returns the path of a job's
    requests.parquet, None if it has none.
    `require`: metric -> bound that each job has to meet. `searching`: whether a search chose the jobs.
    """
    from cachelab.sweep.fleet_comparison import compare_fleets, routed
    from cachelab.sweep.local_jobs import read_requests
    from cachelab.sweep.retention_comparison import compare_policies, with_policy
    from cachelab.sweep.sweep_job import labels, merged
    from cachelab.sweep.sweep_report import compared, report_sweep

    jobs = merged(stored, local)
    notes: list[str] = []
    arms: list[SweepJob] = []
    arm = None
    files = {job.number: fetch(job) for job in routed(jobs) or with_policy(jobs)}
    requests = {number: read_requests(path) for number, path in files.items() if path is not None}
    by_size = compare_fleets(jobs, requests) or compare_policies(jobs, requests)
    try:
        if by_size is None or baseline is not None:  # routers and policies are compared at the same size
            arms, arm = compared(jobs, baseline, searching=searching)
    except CachelabError as error:  # the jobs are done: report them without a comparison
        notes.append(format_error(error))
    label_of = dict(zip((job.number for job in jobs), labels(jobs), strict=True))
    paths = {label_of[job.number]: fetch(job) for job in arms}
    tables = {label: read_requests(path) for label, path in paths.items() if path is not None}
    missing = [label for label, path in paths.items() if path is None]
    if missing:
        notes.append(f"not compared: {', '.join(missing)} wrote no requests.parquet (add requests to artifacts=[...])")
    return report_sweep(name, jobs, arms, arm, tables, objectives, study, notes, require, by_size), tables


def ending_of(parent: str | None, report: "SweepReport | None", error: BaseException | None) -> dict[str, Any]:
    """The arguments of `parent_run.end` as JSON-compatible data, so that `sync` can read them from a file later."""
    from cachelab.sweep.sweep_report import note_text

    tags = {} if error is None else {"cachelab.error": format_error(error)}
    if report is not None and report.required:
        tags["cachelab.requirements_met"] = str(not report.unmet).lower()
    if report is not None and report.study is not None:
        tags["cachelab.best"] = report.study.headlines[0]
    return {
        "parent_run_id": parent,
        "status": _status(report, error),
        "note": "" if report is None else note_text(report),
        "numbers": {} if report is None else report.numbers,
        "tags": tags,
    }


def _status(report: "SweepReport | None", error: BaseException | None) -> str:
    """The status of the sweep's run. A grid with a failed job is FAILED, so that it can be resumed; a search is not."""
    # A library may answer a signal's exception with an error of its own.
    if isinstance(error, KeyboardInterrupt) or (error is not None and received()):
        return "KILLED"
    if error is not None or report is None or (report.study is None and not all(job.finished for job in report.jobs)):
        return "FAILED"
    return "FINISHED"
