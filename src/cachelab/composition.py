"""The config composed by Hydra from files and overrides, without Hydra's command line and without global state."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omegaconf import DictConfig


@dataclass(frozen=True)
class Composition:
    """A composed config: `config` as plain data with its interpolations resolved, `hydra` as Hydra's own node.

    `unresolved` is `config` as it is written in the files.
    """

    config: dict[str, Any]
    unresolved: dict[str, Any]
    hydra: "DictConfig"


def config_dir() -> Path:
    """The config folder: inside the package in a wheel, at the top of the repository in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "conf"
    return installed if installed.is_dir() else package.parents[1] / "conf"


def composed(overrides: Sequence[str], further_dir: Path | None = None) -> Composition:
    """Compose the config as `python -m cachelab [--config-dir FURTHER_DIR] OVERRIDES` does.

    Passwords in config files are masked. Raises Hydra's and OmegaConf's own errors.
    """
    from hydra import compose, initialize_config_search_path
    from omegaconf import OmegaConf

    from cachelab.secret import hide_in_config

    folders = [config_dir()] if further_dir is None else [further_dir.resolve(), config_dir()]
    with _own_singletons(), initialize_config_search_path([f"file://{folder}" for folder in folders], "cachelab"):
        whole = compose("config", overrides=list(overrides), return_hydra_config=True)
        hide_in_config(whole)
        job = OmegaConf.masked_copy(whole, [str(key) for key in whole if key != "hydra"])
        unresolved: Any = OmegaConf.to_container(job)
        config: Any = OmegaConf.to_container(job, resolve=True, throw_on_missing=True)
        return Composition(config, unresolved, whole.hydra)


@contextmanager
def _own_singletons() -> Iterator[None]:
    """Give Hydra new global objects for as long as the context lasts, then restore those of the caller."""
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.core.singleton import Singleton
    from hydra.core.utils import JobRuntime

    kinds: tuple[type, ...] = (GlobalHydra, HydraConfig, JobRuntime)
    kept = {kind: Singleton._instances.pop(kind) for kind in kinds if kind in Singleton._instances}
    try:
        yield
    finally:
        for kind in kinds:
            Singleton._instances.pop(kind, None)
        Singleton._instances.update(kept)


def settings_of_node(node: object) -> dict[str, Any]:
    """A group of the composed config as plain data, nothing resolved; empty for anything else."""
    from omegaconf import DictConfig, OmegaConf

    found: Any = OmegaConf.to_container(node) if isinstance(node, DictConfig) else None
    return found or {}
