"""The table of a sweep: one row per job, one column per setting that differs and per metric."""

from collections.abc import Sequence
from typing import Any

from cachelab.override import readable
from cachelab.report.section import ABSENT, Section, percent, plain
from cachelab.sweep.sweep_job import SweepJob, labels, swept

SHOWN = ("hit_rate/first_prefill", "hit_rate/ideal", "requests/completed", "requests/rejected")
MAX_ROWS = 30


def job_table(jobs: Sequence[SweepJob]) -> dict[str, list[Any]]:
    """Every job and every metric, as columns; None where a job lacks the metric."""
    metrics = sorted({name for job in jobs for name in job.values})
    table: dict[str, list[Any]] = {
        "job": [job.number for job in jobs],
        "label": labels(jobs),
        "status": [job.status for job in jobs],
        "reason": [job.error or job.untracked for job in jobs],
        "run_id": [job.run_id for job in jobs],
        "reused": [int(job.reused) for job in jobs],
        "duration_s": [job.seconds for job in jobs],
        "overrides": [" ".join(job.overrides) for job in jobs],
    }
    table |= {f"override:{key}": [job.settings.get(key) for job in jobs] for key in swept(jobs)}
    return table | {name: [job.values.get(name) for job in jobs] for name in metrics}


def write_job_table(folder: Any, table: dict[str, list[Any]]) -> None:
    """Write jobs.csv and jobs.parquet into the folder."""
    import pyarrow
    import pyarrow.parquet

    from cachelab.report.tables import write_csv

    words = {"label", "status", "reason", "run_id", "overrides"}
    whole = {"job", "reused"}
    kinds = {
        name: "string" if name in words or ":" in name else "int64" if name in whole else "float64" for name in table
    }
    arrays = {name: pyarrow.array(cells, pyarrow.type_for_alias(kinds[name])) for name, cells in table.items()}
    pyarrow.parquet.write_table(pyarrow.table(arrays), folder / "jobs.parquet", compression="zstd")
    write_csv(folder / "jobs.csv", table)


def jobs_section(jobs: Sequence[SweepJob], objectives: Sequence[str], *, max_rows: int = MAX_ROWS) -> Section:
    """The jobs with the objectives first. Of more than `max_rows` jobs it shows the failed and the first ones."""
    columns = list(dict.fromkeys([*objectives, *SHOWN]))
    failed = [job for job in jobs if not job.finished]
    chosen = list(jobs) if len(jobs) <= max_rows else [*failed[: max_rows // 2], *[job for job in jobs if job.finished]]
    chosen = sorted(chosen[:max_rows], key=lambda job: job.number)
    keys = list(swept(jobs))
    short = [key.split(".")[-1] for key in keys] if len(keys) > 1 else ["what"]
    label_of = dict(zip((job.number for job in jobs), labels(jobs), strict=True))
    rows = [
        (
            str(job.number),
            *(
                [readable(key, job.settings.get(key, ABSENT)) for key in keys]
                if len(keys) > 1
                else [label_of[job.number]]
            ),
            job.status if not job.reused else f"{job.status} (reused)",
            *(_cell(name, job.values.get(name)) for name in columns),
            job.error or (f"untracked: {job.untracked}" if job.untracked else ""),
        )
        for job in chosen
    ]
    note = f"{len(jobs) - len(rows)} more in jobs.csv." if len(rows) < len(jobs) else ""
    names = [name.split("/")[-1] for name in columns]
    words = frozenset(range(1, len(short) + 2))
    if not any(row[-1] for row in rows):
        return Section("Jobs", ("job", *short, "status", *names), [row[:-1] for row in rows], note, words)
    head = ("job", *short, "status", *names, "reason")
    return Section("Jobs", head, rows, note, words | {len(head) - 1})


def outcome_line(jobs: Sequence[SweepJob]) -> str:
    """The number of jobs by outcome, as one line."""
    counts = {status: sum(job.status == status for job in jobs) for status in dict.fromkeys(job.status for job in jobs)}
    ended = ", ".join(f"{number:,} {status.lower()}" for status, number in counts.items())
    reused = sum(job.reused for job in jobs)
    untracked = sum(job.untracked is not None for job in jobs)
    also = [f"{reused:,} reused"] * bool(reused) + [f"{untracked:,} not tracked"] * bool(untracked)
    return f"{len(jobs):,} jobs: {ended or 'none ended'}" + (f" ({', '.join(also)})" if also else "")


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return ABSENT
    return percent(value) if name.startswith("hit_rate/") or name.endswith("_share") else plain(value)
