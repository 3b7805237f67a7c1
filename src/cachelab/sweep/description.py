"""The description of a sweep that a store gets before the sweep starts."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import cachelab
from cachelab.secret import masked
from cachelab.tracking.description import source_tags

if TYPE_CHECKING:
    from omegaconf import DictConfig


@dataclass(frozen=True)
class SweepDescription:
    """A sweep before it starts. All trials of one study have the same `search_digest` (digest.py).

    `parameters` are the settings that the command line and the search space give: key -> one value, or all of them.
    """

    name: str
    digest: str
    command: str
    tags: Mapping[str, str]
    config_yaml: str
    search_digest: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)


def describe_sweep(config: "DictConfig") -> SweepDescription:
    """The description of a sweep. `config` is the composed config with its `hydra` node."""
    from omegaconf import OmegaConf

    from cachelab.engine.vllm.core import installed_vllm
    from cachelab.sweep.digest import digest_of_search, digest_of_sweep

    overrides = _overrides(config)
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
        command=sweep_command(config),
        tags=tags,
        config_yaml=masked(OmegaConf.to_yaml(master, resolve=True)),
        search_digest=digest_of_search(config),
        parameters=sweep_parameters(config),
    )


def sweep_command(config: "DictConfig") -> str:
    """The command that starts the sweep again; passwords are masked."""
    return masked(shlex.join(["python", "-m", "cachelab", "--multirun", *_overrides(config)]))


def _overrides(config: "DictConfig") -> list[str]:
    given = [*config.hydra.overrides.task, *config.hydra.overrides.hydra]
    return [override for override in given if override != "hydra.mode=MULTIRUN"]


def sweep_parameters(config: "DictConfig") -> dict[str, str]:
    """The settings of a sweep as text, those that vary first; not where it is stored and how it is compared."""
    given = dict(override.lstrip("+").split("=", 1) for override in config.hydra.overrides.task if "=" in override)
    left_out = ("tracking", "sweep", "comparison", "report", "cache_dir", "sync")
    named = {key: value for key, value in given.items() if not key.startswith(left_out)}
    space = {str(key): str(value) for key, value in (config.hydra.sweeper.get("params") or {}).items()}
    varied = {key: {**space, **named}[key] for key in swept_keys(config) if key in {**space, **named}}
    searched = {"objective": ", ".join(config.objective)} if "n_trials" in config.hydra.sweeper else {}
    return {key: masked(value) for key, value in {**varied, **named, **searched}.items()}


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
