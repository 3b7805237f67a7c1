"""From plain config to parts: the only place where `_target_` becomes an object."""

from collections.abc import Sequence
from typing import Any

from cachelab.complaint import one_line
from cachelab.config import Comparison, Group, Root, Sweep
from cachelab.errors import ConfigError
from cachelab.experiment import Parts
from cachelab.metrics.base import AnyMetric, Metric, Series


def build_root(config: dict[str, Any]) -> Root:
    """The checked root. Raises ConfigError that names the key."""
    from pydantic import ValidationError

    prefix = ""
    try:
        nested: dict[str, Any] = {}
        for prefix, kind in (("sweep", Sweep), ("comparison", Comparison)):
            if prefix in config:
                nested[prefix] = kind(**config[prefix])
        prefix = ""
        return Root(**config | nested)
    except (ValidationError, TypeError) as error:
        raise ConfigError(
            explain(error, prefix) if isinstance(error, ValidationError) else f"{prefix}: {error}"
        ) from error


def build_parts(root: Root) -> Parts:
    """Every part of a run but its tracking. Raises ConfigError that names the key."""
    from cachelab.dataset.loaded_once import LoadedOnce
    from cachelab.tokenizer.cache import CachedTokenizer

    def part(name: str) -> Any:
        return build_part(name, getattr(root, name), root.plugins)

    tokenizer, engine = part("tokenizer"), part("engine")
    if root.history != "recorded" and not hasattr(engine, "history"):
        raise ConfigError(f"history: engine={engine.name} knows history=recorded only: choose that or another engine")
    return Parts(
        dataset=LoadedOnce(part("dataset")),
        tokenizer=tokenizer,
        tokenize=CachedTokenizer(tokenizer, root.cache_dir),
        filter=part("filter"),
        trace=part("trace"),
        order=part("order"),
        engine=engine,
        metrics=build_metrics(root.metrics),
    )


def build_part(name: str, group: Group, plugins: Sequence[str]) -> Any:
    """The object that a group's `_target_` names. Raises ConfigError that names the key."""
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate
    from pydantic import ValidationError

    if "_target_" not in group:
        raise ConfigError(f"{name}: names no class (_target_ is missing): choose an option, {name}=...")
    whitelist = [f"{package}.*" for package in ("cachelab", *plugins)]
    try:
        return instantiate(group, _convert_="all", _execution_whitelist_=whitelist)
    except ValidationError as error:
        raise ConfigError(explain(error, _path_of(error.title, group, name))) from error
    except (InstantiationException, TypeError, ValueError) as error:
        reason = one_line(str(error)).removeprefix("Error instantiating ")
        target = group["_target_"]
        package = str(target).split(".")[0]
        if "whitelist" in reason and package not in ("cachelab", *plugins):
            reason = f"{package} is no plugin: trust it with plugins=[{package}]"
        raise ConfigError(f"{name}: cannot build {target}: {reason}") from error


def _path_of(class_name: str, group: Group, prefix: str) -> str:
    """Where in the group the class is named that refused its arguments: a part may hold another."""
    for key, value in group.items():
        if isinstance(value, dict):
            if str(value.get("_target_", "")).endswith(f".{class_name}"):
                return f"{prefix}.{key}"
            if (inner := _path_of(class_name, value, f"{prefix}.{key}")) != f"{prefix}.{key}":
                return inner
    return prefix


def build_metrics(groups: dict[str, str]) -> list[AnyMetric]:
    """The metrics that the config names, each a dotted path to a tuple of them. Raises ConfigError."""
    from hydra.utils import get_object

    metrics: list[AnyMetric] = []
    for key, path in groups.items():
        try:
            found = get_object(path)
        except (ImportError, AttributeError, ValueError) as error:
            raise ConfigError(
                f"metrics.{key}: {path!r} cannot be imported ({error}): give package.module.NAME"
            ) from error
        if not isinstance(found, (tuple, list)) or not all(isinstance(metric, (Metric, Series)) for metric in found):
            raise ConfigError(f"metrics.{key}: {path!r} is not a tuple of cachelab.metrics.base.Metric or Series")
        metrics.extend(found)
    names = [metric.name for metric in metrics]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ConfigError(f"metrics: {twice} is defined twice: leave one of the two out")
    return metrics


def explain(error: Any, prefix: str) -> str:
    """One line for the first finding of a pydantic ValidationError: the key, what is wrong, what was given."""
    first = error.errors()[0]
    key = ".".join(str(step) for step in ((prefix,) if prefix else ()) + tuple(first["loc"]))
    wrong = first["msg"].removeprefix("Value error, ")
    if first["type"] in ("missing", "missing_argument"):
        return f"{key}: a value is needed and none was given"
    if first["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        return f"{key}: there is no such setting"
    if first["type"] == "value_error" and not first["loc"]:
        return f"{prefix}: {wrong}"
    return f"{key}: {wrong[0].lower()}{wrong[1:]}, got {first['input']!r}"
