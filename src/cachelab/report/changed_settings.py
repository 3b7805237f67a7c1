"""The settings of a run that differ from the defaults of its options."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cachelab.composition import config_dir
from cachelab.config_options import settings_of
from cachelab.report.section import ABSENT, Section
from cachelab.tracking.description import RunDescription, flatten

_ELSEWHERE = ("hydra", "tracking", "metrics", "plugins", "defaults")
"""Keys that do not change what is measured."""


def changed_settings(description: RunDescription) -> Section:
    """One row per option or setting that the command line or an experiment changed, with the default.

    An option of another config folder has no known defaults: all its settings are shown.
    """
    main = settings_of(config_dir() / "config.yaml")
    options = _options(main)
    within = {
        f"{group}/{inner}": option
        for group in options
        for inner, option in _options(settings_of(_file(group, description.choices))).items()
    }
    rows = []
    for group, option in description.choices.items():
        default = (options | within).get(group.removeprefix("optional "))
        if option is not None and default is not None and option != default and not group.startswith(_ELSEWHERE):
            rows.append((group, option, default))
    for group, used in description.used.items():
        if group in _ELSEWHERE:
            continue
        if isinstance(used, Mapping) and group in options:
            rows += _differences({group: used}, {group: _defaults(group, description.choices)})
        elif group in main:
            rows += _differences({group: used}, {group: main[group]})
    return Section(
        "Settings that differ from the defaults", ("setting", "value", "default"), rows, "", frozenset({0, 1, 2})
    )


def _differences(used: Mapping[str, Any], defaults: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    known = dict(flatten(defaults))
    for key, value in flatten(used):
        default = known.get(key, ABSENT)
        if key.endswith("_target_") or value == default or "${" in default or (key not in known and value == "null"):
            continue
        yield key, value, default


def _defaults(group: str, choices: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of the chosen option, with those of the options within it (`engine/cost`)."""
    settings = settings_of(_file(group, choices))
    return settings | {inner: _defaults(f"{group}/{inner}", choices) for inner in _options(settings)}


def _options(config: Mapping[str, Any]) -> dict[str, str]:
    """The default option of each group in the defaults list of a config."""
    groups = [item for item in config.get("defaults", []) if isinstance(item, Mapping)]
    return {group: str(option) for item in groups for group, option in item.items()}


def _file(group: str, choices: Mapping[str, Any]) -> Path:
    return config_dir() / group / f"{choices.get(group)}.yaml"
