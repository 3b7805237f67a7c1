"""The settings of a run that differ from the defaults of its options."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cachelab.composition import config_dir
from cachelab.report.section import ABSENT, Section
from cachelab.tracking.description import RunDescription, flatten

_ELSEWHERE = ("hydra", "tracking", "metrics", "plugins", "defaults")
"""Keys that do not change what is measured."""


def changed_settings(description: RunDescription) -> Section:
    """One row per option or setting that the command line or an experiment changed, with the default.

    An option of another config folder has no known defaults: all its settings are shown.
    """
    main = _read(config_dir() / "config.yaml")
    options = {key: str(value) for item in main["defaults"] if isinstance(item, Mapping) for key, value in item.items()}
    rows = []
    for group, option in description.choices.items():
        default = options.get(group.removeprefix("optional "))
        if option is not None and default is not None and option != default and not group.startswith(_ELSEWHERE):
            rows.append((group, option, default))
    for group, used in description.used.items():
        if group in _ELSEWHERE:
            continue
        if isinstance(used, Mapping) and group in options:
            file = config_dir() / group / f"{description.choices.get(group)}.yaml"
            rows += _differences(group, used, _read(file) if file.is_file() else {})
        elif group in main:
            rows += _differences(group, {"": used}, {"": main[group]})
    return Section(
        "Settings that differ from the defaults", ("setting", "value", "default"), rows, "", frozenset({0, 1, 2})
    )


def _differences(group: str, used: Mapping[str, Any], defaults: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    known = dict(flatten(defaults))
    for key, value in flatten(used):
        default = known.get(key, ABSENT)
        if key.endswith("_target_") or value == default or "${" in default or (key not in known and value == "null"):
            continue
        yield f"{group}.{key}".rstrip("."), value, default


def _read(file: Path) -> dict[str, Any]:
    import yaml

    found: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    return found
