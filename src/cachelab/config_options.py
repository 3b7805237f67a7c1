"""Which options of the config folder have a setting: what an error names when the chosen option does not have it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cachelab.composition import config_dir


def group_of(key: str) -> str | None:
    """The config group that a key such as `engine.cost` is, as in `engine/cost`; None if it is none."""
    group = key.replace(".", "/")
    return group if _options(group) else None


def options_of(group: str) -> list[str]:
    """All options of the group, as `price=per_token`."""
    return [f"{group}={file.stem}" for file in _options(group)]


def options_with_setting(key: str) -> list[str]:
    """The options that have the setting, such as `order=timed` for `order.rate_scale`, from the innermost group."""
    steps = key.split(".")
    for number in range(len(steps) - 1, 0, -1):
        group = "/".join(steps[:number])
        if found := [f"{group}={file.stem}" for file in _options(group) if _has(settings_of(file), steps[number:])]:
            return found
    return []


def options_with_group(key: str) -> list[str]:
    """The options that have the group, such as `engine=replay` for `engine/policy`."""
    group, _, inner = key.rpartition("/")
    return [f"{group}={file.stem}" for file in _options(group) if _has_group(settings_of(file), inner)]


def placed_at(key: str) -> tuple[str, str] | None:
    """The option that places a group at the key, and that group: `engine=agreement` and `engine` for `engine.real`.

    None if no option of the key's own group does.
    """
    group, _, inner = key.rpartition(".")
    for file in _options(group.replace(".", "/")):
        for entry in settings_of(file).get("defaults", []):
            placed = next(iter(entry)) if isinstance(entry, Mapping) else ""
            if placed.endswith(f"@{inner}"):
                return f"{group}={file.stem}", placed.strip("/").partition("@")[0]
    return None


def option_of_class(group: str, name: str) -> str | None:
    """The option of the group that builds this class: `server` for `ServerEngine`. None if there is none."""
    targets = ((file.stem, str(settings_of(file).get("_target_"))) for file in _options(group))
    return next((option for option, target in targets if target.endswith(f".{name}")), None)


def settings_of(file: Path) -> dict[str, Any]:
    """The config of a file, empty where there is none."""
    import yaml

    if not file.is_file():
        return {}
    found: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    return found


def _options(group: str) -> list[Path]:
    return sorted((config_dir() / group).glob("*.yaml")) if group else []


def _has(settings: object, steps: list[str]) -> bool:
    for step in steps:
        if not isinstance(settings, Mapping) or step not in settings:
            return False
        settings = settings[step]
    return True


def _has_group(settings: Mapping[str, Any], inner: str) -> bool:
    return any(isinstance(entry, Mapping) and inner in entry for entry in settings.get("defaults", []))
