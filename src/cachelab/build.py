"""Builds the parts of a run from plain config: the only module that makes an object of a `_target_`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cachelab.config import ComparisonConfig, Group, ReportConfig, Root, SweepConfig
from cachelab.error_format import format_finding, reason, shown
from cachelab.errors import ConfigError
from cachelab.explanation.numbers import NUMBERS
from cachelab.metrics.base import AnyMetric, Metric, Series
from cachelab.metrics.names import check_names
from cachelab.objective import constraints_of
from cachelab.pipeline import Parts
from cachelab.price.metrics import price_metrics
from cachelab.requirement import bounds_of
from cachelab.trust import refuse_untrusted, refuse_untrusted_group

if TYPE_CHECKING:
    from cachelab.explanation.explainer import Explainer


def build_root(config: dict[str, Any]) -> Root:
    """The checked root of the config. Raises ConfigError that names the key."""
    from pydantic import ValidationError

    prefix = ""
    try:
        nested: dict[str, Any] = {}
        for prefix, kind in (("sweep", SweepConfig), ("comparison", ComparisonConfig), ("report", ReportConfig)):
            if prefix in config:
                nested[prefix] = kind(**config[prefix])
        prefix = ""
        root = Root(**config | nested)
    except (ValidationError, TypeError) as error:
        raise ConfigError(
            format_finding(error, prefix) if isinstance(error, ValidationError) else _not_a_group(prefix, config)
        ) from error
    constraints_of(root.objective_constraints)
    bounds_of(root.require)
    for plugin in root.plugins:
        _refuse_missing_plugin(plugin)
    return root


def _not_a_group(key: str, config: dict[str, Any]) -> str:
    """The message for a value where a group of settings is expected."""
    value = config.get(key, config)
    return f"{key}: it has settings of its own ({key}.NAME=...), got {shown(value)}"


def _refuse_missing_plugin(plugin: str) -> None:
    from importlib.util import find_spec

    try:
        found = find_spec(plugin)
    except Exception as error:  # this imports the parent package, which may raise anything
        raise ConfigError(f"plugins: {plugin} cannot be imported ({reason(error)})") from error
    if found is None:
        raise ConfigError(f"plugins: there is no package {plugin}: install it, or run where Python finds it")


GROUPS = (
    "dataset", "tokenizer", "filter", "trace", "order", "fleet", "engine", "metrics", "tracking", "export", "price",
    "explain",
)  # fmt: skip
"""The keys of the root that are config groups."""

EXPLAINED = frozenset(number.name for number in NUMBERS)
"""The names of the numbers that an explanation adds to those of the metrics."""

OPTIONAL = ("export", "price", "explain")
"""The groups that may be null."""


def build_settings(config: dict[str, Any]) -> Root:
    """The checked settings outside the groups, which the jobs of a sweep share; every group is empty.

    Raises ConfigError that names the key.
    """
    nothing: dict[str, Any] = {group: None if group in OPTIONAL else {} for group in GROUPS}
    return build_root(nothing | {key: value for key, value in config.items() if key not in GROUPS})


def build_parts(root: Root) -> Parts:
    """Every part of a run except its tracking. Raises ConfigError that names the key."""
    from cachelab.dataset.cached_dataset import CachedDataset
    from cachelab.dataset.source_paths import refuse_missing_source
    from cachelab.tokenizer.cached_tokenizer import CachedTokenizer

    def part(name: str) -> Any:
        return build_part(name, getattr(root, name), root.plugins)

    root = _with_group_field(root)
    dataset = part("dataset")
    refuse_missing_source(dataset)
    _refuse_layers(root.engine)
    tokenizer, engine, fleet = part("tokenizer"), part("engine"), part("fleet")
    if root.history != "recorded" and not hasattr(engine, "history"):
        raise ConfigError(
            f"history: engine={engine.name} supports history=recorded only: choose that or another engine"
        )
    fleet.check(engine)
    metrics = build_metrics(root.metrics, root.plugins)
    price = None if root.price is None else part("price")
    if price is not None:
        metrics.extend(price_metrics(price))
    return Parts(
        dataset=CachedDataset(dataset),
        tokenizer=tokenizer,
        tokenize=CachedTokenizer(tokenizer, root.cache_dir),
        filter=part("filter"),
        trace=part("trace"),
        order=part("order"),
        fleet=fleet,
        engine=engine,
        metrics=metrics,
        price=price,
    )


def _refuse_layers(engine: Group) -> None:
    """Raises ConfigError for layers (which `model=NAME` sets) of one of cachelab's engines that cannot have them."""
    others = ("ReplayEngine", "CpuEngine", "CudaEngine", "AgreementEngine")
    name = str(engine.get("_target_")).rpartition(".")[2]
    if "layers" in engine and name in others:
        raise ConfigError(
            f"engine.layers: only engine=sim can be given layers, also with model=NAME; {name} cannot: "
            "use engine=sim, or leave them out"
        )


@dataclass(frozen=True)
class Job:
    """The parts of a job: those of its run, the export of its workload and the explainer (None: none is wanted)."""

    parts: Parts
    export: Any
    explainer: "Explainer | None"


def _with_group_field(root: Root) -> Root:
    """The root whose dataset also reads the field of `explain.by`, where the dataset has `fields`."""
    by, read = (root.explain or {}).get("by"), root.dataset.get("fields")
    if by in (None, "model") or not isinstance(read, list) or by in read:
        return root
    return replace(root, dataset={**root.dataset, "fields": [*read, by]})


def build_job(root: Root) -> Job:
    """The parts of a job. Raises ConfigError that names the key.

    The names of metrics in the settings are checked. Counts of the dataset, the filter and the trace are checked later,
    when these stages have run.
    """
    parts = build_parts(root)
    explainer = None if root.explain is None else build_part("explain", root.explain, root.plugins)
    check_metric_names(root, parts.metrics, explainer)
    export = None if root.export is None else build_part("export", root.export, root.plugins)
    return Job(parts, export, explainer)


def check_metric_names(
    root: Root,
    metrics: Sequence[AnyMetric],
    explainer: "Explainer | None",
    counts: Mapping[str, float] | None = None,
) -> None:
    """Check each setting that names metrics; `counts` as in check_names. Raises ConfigError that names the setting."""
    named = {
        "objective": root.objective,
        "objective_constraints": root.objective_constraints,
        "require": root.require,
    }
    for setting, names in named.items():
        if explainer is None and (early := next((name for name in names if name in EXPLAINED), None)):
            raise ConfigError(f"{setting}: {early} is a number of an explanation: add explain=causes")
        check_names(setting, [name for name in names if name not in EXPLAINED], metrics, counts)


def build_part(name: str, group: Group, plugins: Sequence[str]) -> Any:
    """The object that a group's `_target_` names. Raises ConfigError that names the key."""
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate
    from pydantic import ValidationError

    if "_target_" not in group:
        raise ConfigError(f"{name}: no class is named (_target_ is missing): choose an option, {name}=...")
    targets = refuse_untrusted_group(name, group, plugins)
    whitelist = [*targets, *(f"{package}.*" for package in plugins)]
    try:
        return instantiate(group, _convert_="all", _execution_whitelist_=whitelist)
    except ValidationError as error:
        path = _path_of(error.title, group, name)
        raise ConfigError(format_finding(error, path, _keys_at(group, path.split(".")[1:]))) from error
    except ConfigError as error:
        raise ConfigError(_of_inner_part(str(error), name, group, error)) from error
    except (InstantiationException, TypeError, ValueError) as error:
        why = reason(error).removeprefix("Error instantiating ")
        raise ConfigError(f"{name}: cannot build {group['_target_']}: {why}") from error


def _of_inner_part(text: str, name: str, group: Group, error: ConfigError) -> str:
    """The message with the full keys of a nested part's settings: engine.block_size becomes engine.real.block_size.

    A part does not know its own key. Hydra adds a note with the key to the error. Other settings keep their keys.
    """
    inner = re.search(r"full_key: (\w+)", " ".join(getattr(error, "__notes__", ())))
    if inner is None:
        return text
    settings = "|".join(re.escape(key) for key in _keys_at(group, [inner[1]]))
    return re.sub(rf"\b{name}\.(?=({settings})\b)", f"{name}.{inner[1]}.", text)


def _keys_at(group: Group, steps: Sequence[str]) -> list[str]:
    """The keys of a nested part of a group."""
    for step in steps:
        group = group[step]
    return [str(key) for key in group]


def _path_of(class_name: str, group: Group, prefix: str) -> str:
    """The dotted key, below `prefix`, of the nested part whose class refused its arguments; else `prefix`."""
    for key, value in group.items():
        if isinstance(value, dict):
            if str(value.get("_target_", "")).endswith(f".{class_name}"):
                return f"{prefix}.{key}"
            if (inner := _path_of(class_name, value, f"{prefix}.{key}")) != f"{prefix}.{key}":
                return inner
    return prefix


def build_metrics(groups: dict[str, str], plugins: Sequence[str] = ()) -> list[AnyMetric]:
    """The metrics that the config names; each value is the dotted path of a tuple of metrics. Raises ConfigError."""
    from pkgutil import resolve_name

    metrics: list[AnyMetric] = []
    for key, path in groups.items():
        refuse_untrusted(f"metrics.{key}", path, plugins)
        try:
            found = resolve_name(path)
        except Exception as error:  # importing a plugin may raise anything
            raise ConfigError(
                f"metrics.{key}: {shown(path)} cannot be imported ({reason(error)}): give package.module.NAME"
            ) from error
        if not isinstance(found, (tuple, list)) or not all(isinstance(metric, (Metric, Series)) for metric in found):
            raise ConfigError(f"metrics.{key}: {shown(path)} is not a tuple of cachelab.metrics.base.Metric or Series")
        metrics.extend(found)
    names = [metric.name for metric in metrics]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ConfigError(f"metrics: {twice} is defined twice: leave one of the two out")
    return metrics
