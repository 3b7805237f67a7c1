"""The digests by which a sweep and a search are recognized when they are started again."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cachelab.job_digest import decisive, digest, versions
from cachelab.sqlite_address import database_file

if TYPE_CHECKING:
    from omegaconf import DictConfig


def sweep_digest(
    config: Mapping[str, Any], overrides: list[str], sweeper: Mapping[str, Any], versions: Mapping[str, str | None]
) -> str:
    """SHA-256 (hex) of what defines a sweep: the config that its jobs share, their overrides, how they are chosen."""
    named = ("tracking.", "sweep.", "comparison.", "hydra.", "cache_dir=", "require=", "require.")
    return digest(
        {
            "config": decisive(config) | {"objective": config.get("objective")},
            "constraints": config.get("objective_constraints"),
            "overrides": [override for override in overrides if not override.lstrip("+").startswith(named)],
            "sweeper": {key: value for key, value in sweeper.items() if key in ("_target_", "params", "sampler")},
            "direction": sweeper.get("direction"),
            "versions": dict(versions),
        }
    )


def digest_of_sweep(master: "DictConfig") -> str:
    """The digest of the sweep that Hydra composed; two searches with different studies are two sweeps.

    `master` is the composed config with its `hydra` node.
    """
    sweeper = master.hydra.sweeper
    if sweeper.get("study_name") is None:
        return digest_of_search(master)
    study = {"study": str(sweeper.study_name), "storage": _storage(sweeper.get("storage"))}
    return digest({"search": digest_of_search(master), **study})


def digest_of_search(master: "DictConfig") -> str:
    """The digest that all trials of one study share; it does not depend on where the study is stored.

    `master` is the composed config with its `hydra` node.
    """
    from omegaconf import OmegaConf

    from cachelab.engine.vllm.core import installed_vllm

    config: Any = OmegaConf.to_container(
        OmegaConf.masked_copy(master, [str(key) for key in master if key != "hydra"]), resolve=True
    )
    sweeper: Any = OmegaConf.to_container(master.hydra.sweeper, resolve=True)
    overrides = list(master.hydra.overrides.task)
    return sweep_digest(config, overrides, sweeper, versions(installed_vllm()))


def _storage(address: str | None) -> str | None:
    """The address of a study's storage; an SQLite file gets its absolute path."""
    file = address and database_file(address)
    return f"sqlite:///{file}" if file else address
