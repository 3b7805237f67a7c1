"""Objects that a setting holds as plain dictionaries."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from pydantic import ValidationError

from cachelab.error_format import format_finding, shown
from cachelab.errors import ConfigError

T = TypeVar("T")


def inner_object(kind: type[T], settings: Mapping[Any, Any], key: str) -> T:
    """An object of a dataclass with these settings. Raises ConfigError that names the wrong one, below `key`."""
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    if wrong := [name for name in settings if not isinstance(name, str)]:
        raise ConfigError(f"{key}: {shown(wrong[0])} is no name of a setting: set {', '.join(known)}")
    try:
        return kind(**settings)
    except ValidationError as error:
        raise ConfigError(format_finding(error, key, known)) from error


def inner_objects(kind: type[T], value: Any, key: str, what: str) -> Any:
    """The objects of a list of dictionaries or objects; another value unchanged, for pydantic to refuse.

    `what` completes "KEY[0]: ..." with an example. Raises ConfigError that names the place and the setting.
    """
    if not isinstance(value, list):
        return value
    objects = []
    for index, settings in enumerate(value):
        place = f"{key}[{index}]"
        if not isinstance(settings, (dict, kind)):
            raise ConfigError(f"{place}: {what}, got {settings!r}")
        objects.append(inner_object(kind, settings, place) if isinstance(settings, dict) else settings)
    return objects
