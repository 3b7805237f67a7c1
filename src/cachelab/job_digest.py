"""What makes a job the job that it is: the same digest, the same numbers."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cachelab

if TYPE_CHECKING:
    from omegaconf import DictConfig

GROUPS = ("dataset", "tokenizer", "filter", "trace", "order", "engine", "metrics", "plugins")
"""The keys of the resolved config that decide a run's numbers; tracking, folders and objectives do not."""


def job_digest(config: Mapping[str, Any], dataset_digest: str, versions: Mapping[str, str | None]) -> str:
    """SHA-256 (hex) of the resolved config's GROUPS, the data's digest and the versions (cachelab's and vLLM's)."""
    return _digest({"config": _decisive(config), "dataset": dataset_digest, "versions": dict(versions)})


def sweep_digest(
    config: Mapping[str, Any], overrides: list[str], sweeper: Mapping[str, Any], versions: Mapping[str, str | None]
) -> str:
    """SHA-256 (hex) of what makes a sweep: the config that its jobs share, their overrides, how they are chosen."""
    named = ("tracking.", "sweep.", "comparison.", "hydra.", "cache_dir=")
    return _digest(
        {
            "config": _decisive(config) | {"objective": config.get("objective")},
            "constraints": config.get("objective_constraints"),
            "overrides": [override for override in overrides if not override.startswith(named)],
            "sweeper": {key: value for key, value in sweeper.items() if key in ("_target_", "params", "sampler")},
            "direction": sweeper.get("direction"),
            "versions": dict(versions),
        }
    )


def digest_of_sweep(master: "DictConfig") -> str:
    """The digest of the sweep that Hydra composed; two searches with studies of their own are two sweeps."""
    sweeper = master.hydra.sweeper
    if sweeper.get("study_name") is None:
        return digest_of_search(master)
    study = {"study": str(sweeper.study_name), "storage": _storage(sweeper.get("storage"))}
    return _digest({"search": digest_of_search(master), **study})


def digest_of_search(master: "DictConfig") -> str:
    """What the trials of one study have in common, wherever the study is kept.

    `master` is the config that Hydra composed, with its `hydra` node.
    """
    from omegaconf import OmegaConf

    from cachelab.engine.vllm.core import installed_vllm

    config: Any = OmegaConf.to_container(
        OmegaConf.masked_copy(master, [str(key) for key in master if key != "hydra"]), resolve=True
    )
    sweeper: Any = OmegaConf.to_container(master.hydra.sweeper, resolve=True)
    overrides = list(master.hydra.overrides.task)
    return sweep_digest(config, overrides, sweeper, versions(installed_vllm()))


def versions(vllm: str | None) -> dict[str, str | None]:
    """The versions that decide a run's numbers."""
    return {"cachelab": cachelab.__version__, "vllm": vllm}


def _storage(address: str | None) -> str | None:
    """The address of a study's storage; a file's is that of one file, whatever the working directory."""
    if address is None or not address.startswith("sqlite:///"):
        return address
    return f"sqlite:///{Path(address.removeprefix('sqlite:///')).resolve()}"


def _decisive(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: config.get(key) for key in GROUPS}


def _digest(what: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode()).hexdigest()
