"""The Hydra callback that masks passwords of config files before Hydra writes them into the folder of each run."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback

from cachelab.secret import hide_in_config, masked

if TYPE_CHECKING:
    from omegaconf import DictConfig


class SecretCallback(Callback):
    """Masks the composed config in place. The command line has been masked before Hydra read it."""

    def on_run_start(self, config: "DictConfig", **kwargs: Any) -> None:
        hide_in_config(config)

    def on_multirun_start(self, config: "DictConfig", **kwargs: Any) -> None:
        """Mask the sweep's config. Each job is composed from the files again, so overrides mask it there."""
        from omegaconf import read_write

        if overrides := hide_in_config(config):
            with read_write(config.hydra):
                config.hydra.overrides.hydra.extend(overrides)

    def on_job_start(self, config: "DictConfig", **kwargs: Any) -> None:
        """Mask the options that only this job of a sweep has, because the sweep varies their group.

        Hydra has already written the job's config files; they are rewritten.
        """
        if hide_in_config(config) and config.hydra.output_subdir is not None:
            for path in (Path(config.hydra.runtime.output_dir) / config.hydra.output_subdir).glob("*.yaml"):
                path.write_text(masked(path.read_text(encoding="utf-8")), encoding="utf-8")
