"""One line for a person, from whatever went wrong."""

import re

from cachelab.errors import CachelabError
from cachelab.secret import without_secrets


def complaint(error: BaseException) -> str:
    """What is wrong, where, what to do: one line. HYDRA_FULL_ERROR=1 shows the whole trace instead."""
    return without_secrets(_complaint(error))


def _complaint(error: BaseException) -> str:
    if isinstance(error, CachelabError):
        return one_line(str(error))
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
