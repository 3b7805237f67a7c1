"""The Hydra callback that compares the eviction policies of a sweep."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback

if TYPE_CHECKING:
    from omegaconf import DictConfig


class RetentionSweepCallback(Callback):
    """Writes `retention.md`, `retention.png` and `retention.svg` from a sweep's jobs, and prints table and verdicts."""

    def __init__(self) -> None:
        self._started_ms = int(1000 * time.time())

    def on_multirun_end(self, config: "DictConfig", **kwargs: Any) -> None:
        """Compare the policies if at least two jobs name one."""
        from cachelab.sweep.comparison_by_size import write_by_size
        from cachelab.sweep.retention_comparison import compare_policies, retention_figure

        write_by_size(Path(config.hydra.sweep.dir), self._started_ms, "retention", compare_policies, retention_figure)
