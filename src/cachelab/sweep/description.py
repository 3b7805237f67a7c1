"""The description of a sweep that a store gets before the sweep starts."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cachelab
from cachelab.secret import masked
from cachelab.tracking.description import source_tags

if TYPE_CHECKING:
    from omegaconf import DictConfig


@dataclass(frozen=True)
class SweepDescription:
    """A sweep before it starts. All trials of one study have the same `search_digest` (digest.py)."""

    name: str
    digest: str
    command: str
    tags: Mapping[str, str]
    config_yaml: str
    search_digest: str = ""


def describe_sweep(config: "DictConfig") -> SweepDescription:
    """The description of a sweep. `config` is the composed config with its `hydra` node."""
    from omegaconf import OmegaConf

    from cachelab.engine.vllm.core import installed_vllm
    from cachelab.sweep.digest import digest_of_search, digest_of_sweep

    overrides = [*config.hydra.overrides.task, *config.hydra.overrides.hydra]
    overrides = [override for override in overrides if override != "hydra.mode=MULTIRUN"]
    master = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    tags = {
        "cachelab.version": cachelab.__version__,
        "cachelab.vllm_version": installed_vllm() or "none",
        "cachelab.overrides": masked(" ".join(overrides))[:5000],
        **source_tags(Path(cachelab.__file__).parent),
    }
    return SweepDescription(
        name=sweep_name(config),
        digest=digest_of_sweep(config),
        command=masked(shlex.join(["python", "-m", "cachelab", "--multirun", *overrides])),
        tags=tags,
        config_yaml=masked(OmegaConf.to_yaml(master, resolve=True)),
        search_digest=digest_of_search(config),
    )


def swept_keys(config: "DictConfig") -> list[str]:
    """The keys to which the sweep gives several values."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parsed = OverridesParser.create().parse_overrides(list(config.hydra.overrides.task))
    keys = [override.get_key_element().lstrip("+") for override in parsed if override.is_sweep_override()]
    return list(dict.fromkeys([*(config.hydra.sweeper.get("params") or {}), *keys]))


def sweep_name(config: "DictConfig") -> str:
    """The name of a sweep: the experiment, then the overrides that vary."""
    overrides = dict(override.lstrip("+").split("=", 1) for override in config.hydra.overrides.task if "=" in override)
    swept = swept_keys(config)
    varied = [f"{key}={value}" for key, value in overrides.items() if key in swept and key != "experiment"]
    return " ".join([*filter(None, [overrides.get("experiment")]), *varied, "(sweep)"])[:250]
