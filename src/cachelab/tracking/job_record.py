"""result.json: the record of a finished job, which holds all that a store would hold."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from cachelab.atomic import atomic_file
from cachelab.errors import TrackingError

FILE = "result.json"
INFEASIBLE = "cachelab.infeasible"
"""Tag of a job of a search whose filter kept nothing; its value is the reason."""

Status = Literal["FINISHED", "FAILED", "KILLED", "RUNNING"]


@dataclass(frozen=True)
class JobRecord:
    """One job that ended. Times are milliseconds since 1970.

    `number` is the job's number in its sweep, `parent_run_id` the sweep's run. `run_id` is the job's run in the store
    (None: it has none). `untracked` is the reason why the store does not hold the whole job (None: it does). `dataset`
    is None if the job failed before it loaded one. `reused`: the numbers are those of an earlier run.
    """

    run_name: str
    status: Status
    overrides: Sequence[str]
    command: str
    parameters: Mapping[str, str]
    tags: Mapping[str, str]
    config_yaml: str
    started_ms: int
    ended_ms: int
    values: Mapping[str, float] = field(default_factory=dict)
    series: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    dataset: Mapping[str, Any] | None = None
    error: str | None = None
    run_id: str | None = None
    parent_run_id: str | None = None
    number: int | None = None
    job_digest: str | None = None
    untracked: str | None = None
    reused: bool = False

    def write(self, folder: Path) -> Path:
        """Write `<folder>/result.json` atomically; returns its path. Raises OSError."""
        path = folder / FILE
        with atomic_file(path) as part:
            part.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
        return path

    @classmethod
    def read(cls, path: Path) -> "JobRecord":
        """The record in the file. Raises TrackingError if the file cannot be read or is not a record."""
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            known = {key: value for key, value in found.items() if key in {field.name for field in fields(cls)}}
            known["series"] = {
                name: {int(step): value for step, value in steps.items()} for name, steps in known["series"].items()
            }
            return cls(**known)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise TrackingError(f"{path}: not a job's record ({error}): delete it or name another folder") from error


def records(folder: Path) -> Iterator[tuple[Path, JobRecord]]:
    """(job folder, record) of every job at or below the folder, sorted by path."""
    for path in sorted(folder.rglob(FILE)):
        yield path.parent, JobRecord.read(path)
