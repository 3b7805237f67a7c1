"""Reads the jobs of a sweep from their folders on this machine."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cachelab.requirement import required
from cachelab.sweep.sweep_job import SweepJob
from cachelab.tracking.job_record import INFEASIBLE, records

_COLUMNS = (
    "conversation_id",
    "turn_index",
    "outcome",
    "prompt_tokens",
    "cached_tokens",
    "prefill_index",
    "full_blocks",
    "hit_blocks",
    "host_hit_blocks",
    "ideal_hit_blocks",
)


def local_jobs(sweep_dir: Path, since_ms: int, parent_run_id: str | None = None) -> list[SweepJob]:
    """Every job of a sweep with a result.json below the folder; an earlier sweep may have left others there.

    The sweep's jobs are those of its run `parent_run_id`. Without one they are those that started since `since_ms`
    (milliseconds since 1970).
    """
    return [
        SweepJob(
            number=-1 if record.number is None else record.number,
            overrides=tuple(record.overrides),
            status=record.status,
            error=record.error or record.tags.get(INFEASIBLE),
            run_id=record.run_id,
            values=record.values,
            seconds=(record.ended_ms - record.started_ms) / 1000,
            folder=folder / "artifacts",
            untracked=record.untracked,
            reused=record.reused,
            require=required(record.parameters),
        )
        for folder, record in records(sweep_dir)
        if (record.started_ms >= since_ms if parent_run_id is None else record.parent_run_id == parent_run_id)
    ]


def read_requests(path: Path) -> dict[str, Sequence[Any]]:
    """The columns of a requests.parquet that a comparison needs."""
    import pyarrow.parquet

    columns: dict[str, Sequence[Any]] = pyarrow.parquet.read_table(path, columns=list(_COLUMNS)).to_pydict()
    return columns
