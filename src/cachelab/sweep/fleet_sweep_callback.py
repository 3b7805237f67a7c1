"""The Hydra callback that compares the routers of a sweep."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback

if TYPE_CHECKING:
    from omegaconf import DictConfig


class FleetSweepCallback(Callback):
    """Writes `fleet.md`, `fleet.png` and `fleet.svg` from a sweep's jobs, and prints the table and the verdicts."""

    def __init__(self) -> None:
        self._started_ms = int(1000 * time.time())

    def on_multirun_end(self, config: "DictConfig", **kwargs: Any) -> None:
        """Compare the routers if at least two jobs name one."""
        from cachelab.sweep.comparison_by_size import write_by_size
        from cachelab.sweep.fleet_comparison import compare_fleets, fleet_figure

        write_by_size(Path(config.hydra.sweep.dir), self._started_ms, "fleet", compare_fleets, fleet_figure)
