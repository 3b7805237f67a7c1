"""The arguments of the command line, checked and rewritten before Hydra reads them."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from cachelab.composition import config_dir
from cachelab.config_options import options_of
from cachelab.errors import ConfigError
from cachelab.nearest import did_you_mean
from cachelab.secret import hide

_FREE_KEYS = tuple(
    f"{key}={{" for key in ("objective_constraints", "require", "tracking.tags", "engine.args", "engine.real.args")
)
"""Beginnings of overrides that give a dictionary to a setting whose keys are free."""

COMMANDS = ("compare", "doctor", "report")
"""Words that start a command of their own."""

_COMBINED = ("experiment", "metrics")
"""Groups whose options can be combined in a list."""

_BASELINE = "comparison.baseline="


def hydra_arguments(arguments: Sequence[str]) -> list[str]:
    """The arguments as Hydra gets them: passwords masked, and quoted where Hydra's grammar asks for it.

    Raises ConfigError for an argument that cachelab does not allow.
    """
    rewritten = hide([_open_dictionary(_quoted_baseline(argument)) for argument in arguments])
    _refuse_no_override(rewritten)
    _refuse_other_configs(rewritten)
    for argument in rewritten:
        _refuse_null_option(argument)
        _refuse_other_value(argument)
    return rewritten


def _refuse_no_override(arguments: Sequence[str]) -> None:
    """Refuse words that are neither an option of Hydra nor key=value, and several values without --multirun."""
    from hydra._internal.utils import get_args_parser

    _, unknown = get_args_parser().parse_known_args(arguments)
    if wrong := next((argument for argument in unknown if argument.startswith("-")), None):
        key, equals, value = wrong.lstrip("-").partition("=")
        near = f": did you mean {key}={value}?" if equals else did_you_mean(wrong, flags())
        raise ConfigError(f"{wrong}: there is no such option{near or ': see python -m cachelab --help'}")
    given, _ = get_args_parser().parse_known_args(arguments)
    before = ""
    for word in given.overrides:
        if "=" not in word and not word.startswith("~"):
            raise ConfigError(_no_override(word, before))
        before = word


def _no_override(word: str, before: str) -> str:
    """The message for a word without "="; `before` is the argument in front of it."""
    if before.endswith("="):
        return f"{before} {word}: write it without the blank: {before}{word}"
    options = {file.stem: file.parent.name for file in sorted(config_dir().glob("[!h]*/*.yaml"), reverse=True)}
    options |= {file.stem: "experiment" for file in (config_dir() / "experiment").glob("*.yaml")}
    if word in options:
        return f"{word}: settings are key=value: did you mean {options[word]}={word}?"
    if near := get_close_matches(word, options, n=1):
        return f"{word}: settings are key=value: did you mean {options[near[0]]}={near[0]}?"
    return f"{word}: settings are key=value{did_you_mean(word, COMMANDS) or ': see python -m cachelab --help'}"


def flags() -> list[str]:
    """Every flag of the command line, in its long and short form."""
    from hydra._internal.utils import get_args_parser

    return [flag for action in get_args_parser()._actions for flag in action.option_strings]


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


def _refuse_other_value(argument: str) -> None:
    """Refuse GROUP=[...] and GROUP=NUMBER, on which Hydra ends with an error of Python, or composes no choice."""
    key = argument.lstrip("+").partition("=")[0]
    group = key.partition("@")[0]
    options = [option.partition("=")[2] for option in options_of(group)]
    if not options or group.startswith("hydra"):
        return
    given = _value_of(argument)
    names = given if isinstance(given, list) and all(isinstance(one, str) for one in given) else []
    if given is None or isinstance(given, str) or (names and group in _COMBINED):
        return
    way = f"write {key}={names[0]}" if names else f"choose {', '.join(options)}"
    if len(names) > 1:
        way += f", or --multirun {key}={','.join(names)} to run each"
    raise ConfigError(f"{argument}: {key} takes the name of one option: {way}")


def _value_of(argument: str) -> Any:
    """The value of an override as Hydra reads it; None for several values, for settings in braces and for no value.

    Also None if Hydra's grammar does not know the argument: Hydra reports that.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        override = OverridesParser.create().parse_override(argument)
        return None if override.is_sweep_override() or isinstance(override.value(), dict) else override.value()
    except HydraException:
        return None
