"""Errors as one line of text for people, and the exit code of the process."""

import re
import sys
import tempfile
import traceback
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from cachelab.composition import settings_of_node
from cachelab.config_options import (
    group_of,
    option_of_class,
    options_of,
    options_with_group,
    options_with_setting,
    placed_at,
)
from cachelab.disk import free_bytes, full_folders, no_room, size
from cachelab.errors import CachelabError, ConfigError
from cachelab.nearest import did_you_mean
from cachelab.secret import without_secrets

if TYPE_CHECKING:
    from pydantic import ValidationError

RUN_FAILED, WRONG_USAGE, REQUIREMENT_UNMET = 1, 2, 3
"""Exit codes of an error, and of a run that does not meet `require`; 0 is success and 128 + N the end by signal N."""

_SPACE_OF_A_RUN = "5 MiB or more"  # 80 requests of the sample: 0.6 MiB of files, a copy of them in MLflow, its database
_MAX_REASON = 300
_UNION_MEMBER = re.compile(r"(str|int|float|bool)|(constrained|nullable|function)-.*|\[key\]|list\[.*|dict\[.*")
"""Steps that pydantic adds to the location of a finding and that are not keys of the config."""


def leave(error: BaseException, more: str = "") -> NoReturn:
    """End the process with one line on stderr and the error's exit code. Raises SystemExit, caused by the error.

    `more` is the end of that line.
    """
    print(f"cachelab: {format_error(error)}{more}", file=sys.stderr)
    raise SystemExit(exit_code(error)) from error


def exit_code(error: BaseException) -> int:
    """WRONG_USAGE for an error of the command line or the config, else RUN_FAILED.

    An error that a job of a sweep raised is always RUN_FAILED.
    """
    if _is_a_jobs(error):
        return RUN_FAILED
    of_config = isinstance(error, ConfigError) or type(error).__module__.split(".")[0] == "omegaconf"
    return WRONG_USAGE if of_config or _is_hydras(error) else RUN_FAILED


def format_error(error: BaseException) -> str:
    """The whole message for an error that ends a run: what is wrong, where, what to do; one line without passwords."""
    return without_secrets(one_line(_message(error)))


def reason(error: BaseException) -> str:
    """The text of another library's error in one line of at most 300 characters, to be put into a message.

    A pydantic error gives its first finding, an error of the system its own text and file. A text without a blank (a
    KeyError, for example) gets the name of the error's class in front.
    """
    from pydantic import ValidationError

    if isinstance(error, ValidationError):
        return cut(format_finding(error), _MAX_REASON)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}{f': {error.filename}' if error.filename else ''}"
    text = one_line(str(error))
    if " " not in text:
        text = f"{type(error).__name__}{text and ': '}{text}"
    return cut(text, _MAX_REASON)


def format_finding(error: "ValidationError", prefix: str = "", known: Iterable[str] = ()) -> str:
    """One line for the first finding of a pydantic error: the key (below `prefix`), what is wrong, the value.

    `known` are the settings below `prefix`, for the nearest name of a misspelt one.
    """
    found = error.errors()
    first = found[0]
    steps = _steps(first["loc"])
    for other in found[1:]:  # of a union, the member that got furthest into the value
        if len(_steps(other["loc"])) > len(steps) and _steps(other["loc"])[: len(steps)] == steps:
            first, steps = other, _steps(other["loc"])
    key = ".".join([*([prefix] if prefix else []), *steps])
    wrong = first["msg"].removeprefix("Value error, ")
    if first["type"] in ("missing", "missing_argument"):
        return f"{key}: a value is needed and none was given"
    if first["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        names = [name for name in known if name != steps[-1] and not name.startswith("_")]
        form = "{}" if key == steps[-1] else f"{key.removesuffix(steps[-1])}{{}}"
        near = _inside(key, error.title) or _elsewhere(key) or did_you_mean(steps[-1], names, form)
        return f"{key}: there is no such setting{near}"
    if first["type"] == "value_error" and not first["loc"]:
        return one_line(f"{prefix}: {wrong}" if prefix else wrong)
    value = first["input"]
    of_class = bool(steps) and steps[-1][:1].isupper()  # a member of a union
    if isinstance(value, str) and (group := group_of(key.rpartition(".")[0] if of_class else key)):
        return one_line(f"{group.replace('/', '.')}: its options are chosen with a slash: {group}={cut(value, 80)}")
    return one_line(f"{key}: {wrong[0].lower()}{wrong[1:]}, got {shown(value)}")


def _steps(location: Sequence[int | str]) -> list[str]:
    """The keys of the config in the location of a finding."""
    return [str(step) for step in location if not _UNION_MEMBER.fullmatch(str(step))]


def shown(value: object, length: int = 80) -> str:
    """The value as Python code, cut to `length` characters."""
    return cut(repr(value), length)


def cut(text: str, length: int) -> str:
    """The text, cut to `length` characters; a text that was cut ends with "..."."""
    return text if len(text) <= length else f"{text[: length - 3]}..."


def one_line(text: str) -> str:
    """The text with its lines joined."""
    return " ".join(line.strip() for line in text.splitlines() if line.strip())


def _message(error: BaseException) -> str:
    if isinstance(error, CachelabError):
        return str(error)
    if (full := no_room(error)) is not None:
        return f"{_full_folders(error)}: {full}: free some space, or work in a folder of another disk"
    text = f"{error}\n{error.__cause__ or ''}"
    if missing := re.search(r"Could not find '([\w/]+)/([^']+)'", text):
        names = _available(text)
        listed = f" (there are: {', '.join(names)})" if names else ""
        return f"{missing[1]}={missing[2]}: there is no such option{listed}{did_you_mean(missing[2], names)}"
    if missing := re.search(r"Could not override '([^']+)'", text):
        full_key = re.search(r"full_key: (\S+)", text) or missing  # of a key inside a given {...}
        key = full_key[1]
        if "No match in the defaults list" in text:
            above = key.rpartition("/")[0]
            of = f" with this option of {above}" if above else ""
            way_out = _one_of(options_with_group(key)) or "see python -m cachelab --help"
            return f"{key}: there is no such config group{of}: {way_out}"
        near = (
            _inner_key(error, key)
            or _inside(key)
            or _elsewhere(key)
            or _near_key(error, key)
            or ": see python -m cachelab --cfg job"
        )
        return f"{key}: there is no such setting{near}"
    if override := re.search(r"In '([\w/]+)': Invalid Defaults List override '/([\w/]+)@([\w.]+): \w+'", text):
        _, group, key = override.groups()
        option = (placed_at(key) or ("OPTION", ""))[0]
        chosen = override[1].replace("/", "=", 1)
        return f"{group}@{key}: {chosen} sets it, which only {option} has: leave {option.partition('=')[0]}=... out"
    if several := re.search(r"Ambiguous value for argument '([^']+)'", text):
        key, _, value = several[1].partition("=")
        a_list = "" if group_of(key.partition("@")[0]) else f", or write a list: '{key}=[{value}]'"
        return f"{several[1]}: several values: add --multirun to run each{a_list}"
    if missing := re.search(r"Missing mandatory value[\s\S]*full_key: (\S+)", text):
        return f"{missing[1]}: a value is needed: add {missing[1]}=..."
    if (folder := _unwritable(error)) is not None:
        return folder
    if type(error).__module__.split(".")[0] in ("hydra", "omegaconf"):
        return _with_key(text)
    if _is_hydras(error):
        return f"command line: {error}: see python -m cachelab --help"
    return f"{type(error).__name__}: {error} (HYDRA_FULL_ERROR=1 shows where)"


def _available(text: str) -> list[str]:
    """The options that Hydra lists after "Available options in ..."."""
    _, _, rest = text.partition("Available options in")
    return [line.strip() for line in rest.splitlines()[1:] if line.strip() and ":" not in line and "/" not in line]


def _elsewhere(key: str) -> str:
    """Text " with this option of GROUP: set GROUP=OPTION" if other options have the setting or group `key`."""
    group = group_of(key)
    options = (options_with_group(group) or options_of(group)) if group else options_with_setting(key)
    chosen = options[0].partition("=")[0] if options else group
    of = "" if chosen == group else f" with this option of {chosen}"  # a group of which no option is chosen
    return f"{of}: {_one_of(options)}" if options else ""


def _inside(key: str, class_name: str = "") -> str:
    """Text that names the option that has a group at `key`, as engine=agreement has one at engine.real; "" if none has.

    `class_name`: the class of the option that was chosen instead; with it the text says where that option belongs.
    """
    if (found := placed_at(key)) is None:
        return ""
    group = key.rpartition(".")[0]
    text = f" with this option of {group}, only with {found[0]}"
    if (chosen := option_of_class(group, class_name)) is not None:
        text += f": write {found[1]}@{key}={chosen} instead of {group}={chosen}"
    return text


def _one_of(options: Sequence[str]) -> str:
    return f"set {' or '.join(options)}" if options else ""


def _inner_key(error: BaseException, key: str) -> str:
    """Text ": did you mean KEY?" for a setting of a group inside this one, as engine.real.url for engine.url."""
    group, _, name = key.rpartition(".")
    for one, inner in settings_of_node(getattr(error.__cause__, "parent_node", None)).items():
        if isinstance(inner, Mapping) and name in inner:
            return f": did you mean {group}{'.' if group else ''}{one}.{name}?"
    return ""


def _near_key(error: BaseException, key: str) -> str:
    """Text ": did you mean KEY?" for a key that is not in its group."""
    group, _, name = key.rpartition(".")
    parent = getattr(error.__cause__, "parent_node", None)
    if parent is None:
        return ""
    known = [str(one) for one in parent] + ([] if group else ["experiment"])
    return did_you_mean(name, known, f"{group}.{{}}" if group else "{}")


def _with_key(text: str) -> str:
    """OmegaConf's message about a value, with the key in front."""
    key = re.search(r"^\s*full_key: (\S+)", text, re.MULTILINE)
    if key and (kind := re.search(r"Cannot merge incompatible container types[\s\S]*object_type=(list|dict)", text)):
        brackets, name = {"list": ("[...]", "a list"), "dict": ("{...}", "settings in braces")}[kind[1]]
        return f"{key[1]}: it takes {name}: write '{key[1]}={brackets}'"
    message = re.sub(r"^\s*(full_key|object_type): ?.*$", "", text, flags=re.MULTILINE)
    return f"{key[1]}: {message}" if key else message


def _unwritable(error: BaseException) -> str | None:
    """The message for a folder that Hydra cannot write to; None for another error."""
    cause = error if isinstance(error, OSError) else error.__cause__
    if not isinstance(cause, OSError) or not _is_hydras(error):
        return None
    where = cause.filename or cause
    return (
        f"hydra.run.dir (in a sweep: hydra.sweep.dir): {where}: {cause.strerror or type(cause).__name__}: "
        "name a folder that can be written"
    )


def _is_hydras(error: BaseException) -> bool:
    """Whether Hydra raised the error while it composed the config or created its folders."""
    packages = [module.split(".")[0] for module, _ in _raised_through(error)]
    known = [package for package in packages if package in ("hydra", "omegaconf", "cachelab")]
    return bool(known) and known[-1] != "cachelab" and not _is_a_jobs(error)


def _is_a_jobs(error: BaseException) -> bool:
    """Whether a job of a sweep raised the error: Hydra's JobReturn holds it and raises it again."""
    return ("hydra.core.utils", "return_value") in _raised_through(error)


def _raised_through(error: BaseException) -> list[tuple[str, str]]:
    """(module, function) of each frame of the traceback, the frame that raised the error last."""
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    return [(str(frame.f_globals.get("__name__", "")), frame.f_code.co_name) for frame in frames]


def _full_folders(error: BaseException) -> str:
    """The folders whose disk is full, as far as they are known, with the bytes that are free there."""
    named = [Path(error.filename).parent] if isinstance(error, OSError) and isinstance(error.filename, str) else []
    full = full_folders([*named, Path.cwd(), Path(tempfile.gettempdir())]) or named or [Path.cwd()]
    return ", ".join(f"{folder} ({size(free_bytes(folder))} free, a run needs {_SPACE_OF_A_RUN})" for folder in full)
