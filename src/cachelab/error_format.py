"""One line for a person, from whatever went wrong, and the exit code that goes with it."""

import re
import sys
import tempfile
import traceback
from pathlib import Path
from typing import NoReturn

from cachelab.disk import free_bytes, full_folders, no_room, size
from cachelab.errors import CachelabError, ConfigError
from cachelab.secret import without_secrets

RUN_FAILED, WRONG_USAGE = 1, 2
"""Exit codes of an error; 0 is success and 128 + N the end by signal N."""


def leave(error: BaseException) -> NoReturn:
    """End the process with one line on stderr and the error's exit code. Raises SystemExit, caused by the error."""
    print(f"cachelab: {format_error(error)}", file=sys.stderr)
    raise SystemExit(exit_code(error)) from error


def exit_code(error: BaseException) -> int:
    """WRONG_USAGE if the command line or the config is at fault, else RUN_FAILED; the latter for a job of a sweep."""
    if _is_a_jobs(error):
        return RUN_FAILED
    of_config = isinstance(error, ConfigError) or type(error).__module__.split(".")[0] == "omegaconf"
    return WRONG_USAGE if of_config or _is_hydras(error) else RUN_FAILED


_A_RUN = "5 MiB or more"  # 80 requests of the sample: 0.6 MiB of files, a copy of them in MLflow, its database


def format_error(error: BaseException) -> str:
    """What is wrong, where, what to do: one line. HYDRA_FULL_ERROR=1 shows the whole trace instead."""
    return without_secrets(_complaint(error))


def _complaint(error: BaseException) -> str:
    if isinstance(error, CachelabError):
        return one_line(str(error))
    if (reason := no_room(error)) is not None:
        return one_line(f"{_full(error)}: {reason}: free some space, or work in a folder of another disk")
    text = f"{error}\n{error.__cause__ or ''}"
    if missing := re.search(r"Could not find '([\w/]+)/([^']+)'", text):
        return one_line(f"{missing[1]}={missing[2]}: there is no such option{_available(text)}")
    if missing := re.search(r"Could not override '([^']+)'", text):
        full_key = re.search(r"full_key: (\S+)", text) or missing  # of a key inside a given {...}
        key = full_key[1]
        if "No match in the defaults list" in text:
            return f"{key}: there is no such config group: see python -m cachelab --help"
        return f"{key}: there is no such setting: see python -m cachelab --cfg job (+{key}=... adds one)"
    if missing := re.search(r"Missing mandatory value[\s\S]*full_key: (\S+)", text):
        return f"{missing[1]}: a value is needed: add {missing[1]}=..."
    if (folder := _unwritable(error)) is not None:
        return folder
    if type(error).__module__.split(".")[0] in ("hydra", "omegaconf"):
        return one_line(_with_key(text))
    if _is_hydras(error):
        return one_line(f"command line: {error}: see python -m cachelab --help")
    return one_line(f"{type(error).__name__}: {error} (HYDRA_FULL_ERROR=1 shows where)")


def shown(value: object, length: int = 80) -> str:
    """The value as code, cut to `length` characters."""
    text = repr(value)
    return text if len(text) <= length else f"{text[: length - 3]}..."


def one_line(text: str) -> str:
    """The text with its lines joined."""
    return " ".join(line.strip() for line in text.splitlines() if line.strip())


def _available(text: str) -> str:
    """The options that Hydra lists after "Available options in ..."."""
    _, _, rest = text.partition("Available options in")
    names = [line.strip() for line in rest.splitlines()[1:] if line.strip() and ":" not in line and "/" not in line]
    return f" (there are: {', '.join(names)})" if names else ""


def _with_key(text: str) -> str:
    """OmegaConf's account of a value, the key first."""
    key = re.search(r"^\s*full_key: (\S+)", text, re.MULTILINE)
    account = re.sub(r"^\s*(full_key|object_type): ?.*$", "", text, flags=re.MULTILINE)
    return f"{key[1]}: {account}" if key else account


def _unwritable(error: BaseException) -> str | None:
    """The line for a folder of Hydra's that cannot be written; None if that is not what happened."""
    cause = error if isinstance(error, OSError) else error.__cause__
    if not isinstance(cause, OSError) or not _is_hydras(error):
        return None
    where = cause.filename or cause
    return one_line(
        f"hydra.run.dir (in a sweep: hydra.sweep.dir): {where}: {cause.strerror or type(cause).__name__}: "
        "name a folder that can be written"
    )


def _is_hydras(error: BaseException) -> bool:
    """Whether Hydra raised it while it composed the config or made its folders."""
    packages = [module.split(".")[0] for module, _ in _raised_through(error)]
    known = [package for package in packages if package in ("hydra", "omegaconf", "cachelab")]
    return bool(known) and known[-1] != "cachelab" and not _is_a_jobs(error)


def _is_a_jobs(error: BaseException) -> bool:
    """Whether a job of a sweep raised it: the property of Hydra's JobReturn that holds the error raised it again."""
    return ("hydra.core.utils", "return_value") in _raised_through(error)


def _raised_through(error: BaseException) -> list[tuple[str, str]]:
    """(module, function) of each frame that the error passed, the one that raised it last."""
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    return [(str(frame.f_globals.get("__name__", "")), frame.f_code.co_name) for frame in frames]


def _full(error: BaseException) -> str:
    """The folders without room, as far as they are known, with what is free there."""
    named = [Path(error.filename).parent] if isinstance(error, OSError) and isinstance(error.filename, str) else []
    full = full_folders([*named, Path.cwd(), Path(tempfile.gettempdir())]) or named or [Path.cwd()]
    return ", ".join(f"{folder} ({size(free_bytes(folder))} free, a run needs {_A_RUN})" for folder in full)
