"""The arguments of the command line, checked and rewritten before Hydra reads them."""

from collections.abc import Sequence

from cachelab.composition import config_dir
from cachelab.errors import ConfigError
from cachelab.secret import hide

_FREE_KEYS = tuple(
    f"{key}={{" for key in ("objective_constraints", "require", "tracking.tags", "engine.args", "engine.real.args")
)
"""Beginnings of overrides that give a dictionary to a setting whose keys are free."""

_BASELINE = "comparison.baseline="


def hydra_arguments(arguments: Sequence[str]) -> list[str]:
    """The arguments as Hydra gets them: passwords masked, and quoted where Hydra's grammar asks for it.

    Raises ConfigError for an argument that cachelab does not allow.
    """
    rewritten = hide([_open_dictionary(_quoted_baseline(argument)) for argument in arguments])
    _refuse_other_configs(rewritten)
    for argument in rewritten:
        _refuse_null_option(argument)
    return rewritten


def asks_for_version(arguments: Sequence[str]) -> bool:
    """Whether `--version` is among the arguments, in full or shortened as argparse allows it."""
    return any(len(argument) > 2 and "--version".startswith(argument) for argument in arguments)


def _quoted_baseline(argument: str) -> str:
    """The argument with quotes around the value of comparison.baseline, which may hold a second "="."""
    value = argument.removeprefix(_BASELINE)
    if not argument.startswith(_BASELINE) or value == "null" or value[:1] in ("'", '"', ""):
        return argument
    return f"{_BASELINE}'{value}'"


def _open_dictionary(argument: str) -> str:
    """The argument with "++" if it gives a dictionary to a setting with free keys: Hydra adds no key without it."""
    return f"++{argument}" if argument.startswith(_FREE_KEYS) else argument


def _refuse_other_configs(arguments: Sequence[str]) -> None:
    """Refuse another primary config: it may add packages to Hydra's search path, and Hydra imports those."""
    from hydra._internal.utils import get_args_parser

    given, _ = get_args_parser().parse_known_args(arguments)
    for name, value in (("--config-path", given.config_path), ("--config-name", given.config_name)):
        if value is not None:
            raise ConfigError(f"{name}: cachelab always starts from its own config: add a folder with --config-dir")


def _refuse_null_option(argument: str) -> None:
    """Refuse GROUP=null, which Hydra reports in many lines."""
    group, _, option = argument.partition("=")
    if option == "null" and (config_dir() / group).is_dir() and "." not in group:
        raise ConfigError(f"{argument}: this names no option: choose one ({group}=OPTION), or leave it out")
