"""The Hydra callback that draws the capacity curves of a sweep's jobs into one figure."""

import csv
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback

if TYPE_CHECKING:
    from omegaconf import DictConfig

log = logging.getLogger(__name__)


class CapacitySweepCallback(Callback):
    """Draws `capacity_overlay.png` and `.svg` from each `capacity.csv` of a sweep's jobs."""

    def on_multirun_end(self, config: "DictConfig", **kwargs: Any) -> None:
        """Draw the figure if at least two jobs have a curve."""
        write_overlay(Path(config.hydra.sweep.dir))


def write_overlay(folder: Path) -> Path | None:
    """Draw the curves of the jobs below a sweep's folder, each named by its own overrides.

    Returns the path of the figure; None if fewer than two jobs have a curve.
    """
    import yaml

    from cachelab.report.capacity_figure import overlaid
    from cachelab.report.style import save

    tables: dict[str, dict[str, list[str]]] = {}
    for file in sorted(folder.glob("*/artifacts/capacity.csv"), key=lambda path: (len(path.parts[-3]), path.parts[-3])):
        with file.open(encoding="utf-8") as text:
            rows = list(csv.DictReader(text))
        job = file.parents[1]
        overrides = job / ".hydra" / "overrides.yaml"
        named = yaml.safe_load(overrides.read_text(encoding="utf-8")) if overrides.exists() else []
        if rows:
            tables[f"{job.name}: {' '.join(named)}"] = {key: [row[key] for row in rows] for key in rows[0]}
    if len(tables) < 2:
        return None
    path = folder / "capacity_overlay.png"
    save(overlaid(_without_common_words(tables)), folder, path.stem)
    log.info("the curves of %d jobs are in %s", len(tables), path)
    return path


def _without_common_words(tables: dict[str, Any]) -> dict[str, Any]:
    """The same tables; their names lack the overrides that all jobs share."""
    common = set.intersection(*(set(name.split(" ")[1:]) for name in tables))
    return {" ".join(word for word in name.split(" ") if word not in common): table for name, table in tables.items()}
