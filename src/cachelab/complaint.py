"""One line for a person, from whatever went wrong."""

import re
import tempfile
from pathlib import Path

from cachelab.disk import free_bytes, full_folders, no_room, size
from cachelab.errors import CachelabError

_A_RUN = "5 MiB or more"  # 80 requests of the sample: 0.6 MiB of files, a copy of them in MLflow, its database


def complaint(error: BaseException) -> str:
    """What is wrong, where, what to do: one line. HYDRA_FULL_ERROR=1 shows the whole trace instead."""
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
    if type(error).__module__.split(".")[0] in ("hydra", "omegaconf"):
        return one_line(text)
    return one_line(f"{type(error).__name__}: {error} (HYDRA_FULL_ERROR=1 shows where)")


def one_line(text: str) -> str:
    """The text with its lines joined."""
    return " ".join(line.strip() for line in text.splitlines() if line.strip())


def _available(text: str) -> str:
    """The options that Hydra lists after "Available options in ..."."""
    _, _, rest = text.partition("Available options in")
    names = [line.strip() for line in rest.splitlines()[1:] if line.strip() and ":" not in line and "/" not in line]
    return f" (there are: {', '.join(names)})" if names else ""


def _full(error: BaseException) -> str:
    """The folders without room, as far as they are known, with what is free there."""
    named = [Path(error.filename).parent] if isinstance(error, OSError) and isinstance(error.filename, str) else []
    full = full_folders([*named, Path.cwd(), Path(tempfile.gettempdir())]) or named or [Path.cwd()]
    return ", ".join(f"{folder} ({size(free_bytes(folder))} free, a run needs {_A_RUN})" for folder in full)
