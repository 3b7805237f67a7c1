"""The Hydra callback that masks what config files say, before Hydra copies it into the folder of each run."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback

from cachelab.secret import hide_in_config, masked

if TYPE_CHECKING:
    from omegaconf import DictConfig


class SecretCallback(Callback):
    """Masks the composed config in place. The command line was masked earlier, by cachelab.cli."""

    def on_run_start(self, config: "DictConfig", **kwargs: Any) -> None:
        hide_in_config(config)

    def on_multirun_start(self, config: "DictConfig", **kwargs: Any) -> None:
        """Mask the sweep's config; each job is composed of files again, so overrides mask it there."""
        from omegaconf import read_write

        if overrides := hide_in_config(config):
            with read_write(config.hydra):
                config.hydra.overrides.hydra.extend(overrides)

    def on_job_start(self, config: "DictConfig", **kwargs: Any) -> None:
        """Mask what only this job of a sweep has: the option of a group that the sweep varies.

        Hydra has just written the job's files, so these are written again.
        """
        if hide_in_config(config) and config.hydra.output_subdir is not None:
            for path in (Path(config.hydra.runtime.output_dir) / config.hydra.output_subdir).glob("*.yaml"):
                path.write_text(masked(path.read_text(encoding="utf-8")), encoding="utf-8")
