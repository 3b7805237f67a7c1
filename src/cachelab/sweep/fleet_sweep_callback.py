"""The Hydra callback that compares the routers of a sweep."""

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback

if TYPE_CHECKING:
    from omegaconf import DictConfig

log = logging.getLogger(__name__)


class FleetSweepCallback(Callback):
    """Writes `fleet.md`, `fleet.png` and `fleet.svg` from a sweep's jobs, and prints the table and the verdicts."""

    def __init__(self) -> None:
        self._started_ms = int(1000 * time.time())

    def on_multirun_end(self, config: "DictConfig", **kwargs: Any) -> None:
        """Compare the routers if at least two jobs name one."""
        write_fleets(Path(config.hydra.sweep.dir), self._started_ms)


def write_fleets(folder: Path, since_ms: int) -> Path | None:
    """Compare the jobs below a sweep's folder that started since then (milliseconds since 1970).

    Returns the path of the table; None if fewer than two jobs can be compared.
    """
    from cachelab.report.console import print_tables
    from cachelab.report.style import save
    from cachelab.report.summary import table as markdown
    from cachelab.sweep.fleet_comparison import compare_fleets, fleet_figure
    from cachelab.sweep.local_jobs import local_jobs, read_requests

    jobs = local_jobs(folder, since_ms)
    files = {job.number: job.folder / "requests.parquet" for job in jobs if job.finished and job.folder is not None}
    tables = {number: read_requests(file) for number, file in files.items() if file.is_file()}
    found = compare_fleets(jobs, tables)
    if len(found.jobs) < 2:
        return None
    path = folder / "fleet.md"
    lines = [f"- {verdict}" for verdict in found.verdicts]
    path.write_text("\n\n".join([markdown(found.section), "\n".join(lines)]) + "\n", encoding="utf-8")
    if (figure := fleet_figure(found)) is not None:
        save(figure, folder, "fleet")
    print_tables([found.section], path.name)
    for verdict in found.verdicts:
        print(verdict)
    log.info("the routers are compared in %s", path)
    return path
