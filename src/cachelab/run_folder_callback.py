"""The Hydra callback that puts the name of a run on its own into the name of its folder."""

from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback

if TYPE_CHECKING:
    from omegaconf import DictConfig


class RunFolderCallback(Callback):
    """Renames `hydra.run.dir` before Hydra makes that folder, unless the command line names one."""

    def on_run_start(self, config: "DictConfig", **kwargs: Any) -> None:
        from omegaconf import OmegaConf, read_write

        from cachelab.job_context import JobContext
        from cachelab.job_folder import named_folder

        hydra = config.hydra
        given: Any = OmegaConf.to_container(hydra.overrides.hydra)
        folder = named_folder(str(hydra.run.dir), JobContext.name_of(hydra), given)
        with read_write(hydra):
            hydra.run.dir = folder
