"""Decides which code a config may run: cachelab's own parts, and packages that the command line names in `plugins`.

Some strings of a config are imported. Each of them is first checked by a function of this module, so that a config from
somebody else cannot run code of its own. docs/architecture.md lists these strings.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cachelab.error_format import shown
from cachelab.errors import ConfigError

if TYPE_CHECKING:
    from omegaconf import DictConfig

CALLBACKS = (
    "cachelab.run_folder_callback.RunFolderCallback",
    "cachelab.sweep.callback.SweepCallback",
    "cachelab.sweep.capacity_sweep_callback.CapacitySweepCallback",
    "cachelab.tracking.secret_callback.SecretCallback",
)
"""The classes that `hydra.callbacks` may name."""

NAMED_BY_HYDRA = (*CALLBACKS, "cachelab.secret.SecretFormatter")
"""The classes that the `hydra` node may name: the callbacks and the formatter of the logs."""

COMMAND_LINE_ONLY = (
    "plugins",
    "tokenizer.trust_remote_code",
    "engine.args.trust_remote_code",
    "engine.real.args.trust_remote_code",
)
"""Settings that decide which code runs: only the command line may set them."""

NAMES_CODE = (
    "additional_config",
    "compilation_config",
    "ec_manager_config",
    "ec_transfer_config",
    "io_processor_plugin",
    "log_config_file",
    "logging_config",
    "logits_processors",
    "model_class_overrides",
    "reasoning_parser_plugin",
    "spec_model",
    "speculative_config",
    "structured_outputs_config",
    "worker_cls",
    "worker_extension_cls",
)
"""Fields of vLLM's EngineArgs whose strings vLLM may import. Fields that cachelab sets itself are always refused."""

_WHOLE_MODULES = ("_module_path", "_plugin", "log_config_file")
"""Endings of keys whose text is always a module or a file."""
_DOTTED = re.compile(r"[^/]*[.:][^/]*")


def package_of(dotted: str) -> str:
    """The package `a` of `a.b.C` or `a.b:C`, which an import runs first."""
    return re.split("[.:]", dotted, maxsplit=1)[0]


def refuse_untrusted(key: str, dotted: str, plugins: Sequence[str]) -> None:
    """Refuse a dotted path into a package that is neither cachelab nor a plugin. Raises ConfigError."""
    if (package := package_of(dotted)) not in ("cachelab", *(package_of(plugin) for plugin in plugins)):
        raise ConfigError(f"{key}: {package} is not a plugin: trust its code with plugins=[{package}]")


def refuse_untrusted_group(name: str, group: Mapping[str, Any], plugins: Sequence[str]) -> list[str]:
    """Check every `_target_` in a group, at any depth: a part of cachelab or a plugin's class, and no other keyword.

    Returns the targets, which Hydra may then call. Raises ConfigError.
    """
    targets = []
    for key, node in _nodes(name, group):
        for keyword in node:
            if str(keyword).startswith("_") and keyword != "_target_":
                raise ConfigError(f"{key}.{keyword}: there is no such setting")
        if "_target_" in node:
            target = node["_target_"]
            if not isinstance(target, str) or not re.fullmatch(r"\w+(\.\w+)+", target):
                raise ConfigError(f"{key}._target_: {shown(target)} is not a class: write package.module.Class")
            refuse_untrusted(f"{key}._target_: cannot build {target}", target, plugins)
            if package_of(target) == "cachelab":
                _refuse_other_than_a_part(f"{key}._target_", target)
            targets.append(target)
        if isinstance(args := node.get("args"), Mapping):
            _refuse_untrusted_args(f"{key}.args", args, plugins)
    return targets


def refuse_what_a_file_decides(config: Mapping[str, Any], hydra: "DictConfig") -> None:
    """Refuse settings of COMMAND_LINE_ONLY and environment variables that come from a file. Raises ConfigError.

    `hydra` is the `hydra` node of the job or of the sweep.
    """
    from omegaconf import OmegaConf

    # As a container, because reading single items would resolve their interpolations.
    overrides: Any = OmegaConf.to_container(hydra.overrides)
    said = {_key(override) for override in (*overrides["task"], *overrides["hydra"])}
    params: Any = hydra.sweeper.get("params") or {}
    varied = {str(key) for key in params}
    for key in COMMAND_LINE_ONLY:
        if key in varied or (_select(config, key) and key not in said):
            raise ConfigError(f"{key}: a config file may not decide which code runs: set it on the command line")
    for variable in hydra.job.env_set:
        if f"hydra.job.env_set.{variable}" not in said:
            raise ConfigError(
                f"hydra.job.env_set.{variable}: a config file may not set what programs read: set it in your shell"
            )
    launcher: Any = OmegaConf.to_container(hydra.launcher, resolve=False) or {}
    runtime = _select(launcher, "ray.init.runtime_env") or _select(launcher, "ray.remote.runtime_env")
    if runtime and not any(key.startswith("hydra.launcher.ray") for key in said):
        raise ConfigError(
            "hydra.launcher.ray: a config file may not choose what workers install and run: set it on the command line"
        )


def _nodes(key: str, node: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(dotted key, mapping) of every mapping at or below a node."""
    if isinstance(node, Mapping):
        yield key, node
        for name, value in node.items():
            yield from _nodes(f"{key}.{name}", value)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from _nodes(key, value)


def _refuse_other_than_a_part(key: str, target: str) -> None:
    """Refuse a target that is not a checked dataclass: a function could import its arguments. Raises ConfigError."""
    from pkgutil import resolve_name

    from pydantic.dataclasses import is_pydantic_dataclass

    try:
        found = resolve_name(target)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"{key}: cannot build {target}: there is no such class") from error
    if not isinstance(found, type) or not is_pydantic_dataclass(found) or not found.__module__.startswith("cachelab."):
        raise ConfigError(f"{key}: cannot build {target}: it is not a part of cachelab: choose an option instead")


def _refuse_untrusted_args(key: str, args: Mapping[str, Any], plugins: Sequence[str]) -> None:
    for field in NAMES_CODE:
        for name, text in _texts(field, args.get(field)):
            if name.endswith(_WHOLE_MODULES) or _DOTTED.fullmatch(text):
                refuse_untrusted(f"{key}.{name}: names code, {shown(text)}", text, plugins)


def _texts(key: str, value: Any) -> Iterator[tuple[str, str]]:
    """(dotted key, text) of every text in a value."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _texts(f"{key}.{name}", inner)
    elif isinstance(value, Iterable):
        for inner in value:
            yield from _texts(key, inner)


def _key(override: str) -> str:
    return override.lstrip("+~").partition("=")[0].partition("@")[0]


def _select(config: Mapping[str, Any], key: str) -> Any:
    found: Any = config
    for name in key.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found
