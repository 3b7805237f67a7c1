"""Masks passwords in addresses: the process keeps them, and everything that it writes shows `***`.

`hide` masks them on the command line and `hide_in_config` in a composed config, before Hydra or a store reads them.
`revealed` gives the address to connect to. The addresses are kept in an environment variable, which worker processes on
this machine inherit. Text of other libraries (errors, logs) passes through `without_secrets`.
"""

import json
import logging
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus, unquote, unquote_plus

from cachelab.errors import ConfigError
from cachelab.override import quoted

if TYPE_CHECKING:
    from omegaconf import DictConfig

MASK = "***"
VARIABLE = "CACHELAB_ADDRESSES"
"""The environment variable with the masked addresses as a JSON list."""

_ADDRESS_KEYS = ("tracking.uri", "hydra.sweeper.storage")
_INTERPOLATION = re.compile(r"\$\{[^}]*\}")
# The password ends at the last @ of the word: a password with / or @ is masked as a whole.
_USER = re.compile(r"(?P<before>\b(?P<scheme>[a-z][a-z0-9+.-]*)://[^:/@\s'\"]*:)(?P<secret>[^\s'\"]+)(?=@)", re.I)
_QUERY = re.compile(
    r"(?P<before>[?&;](?:[\w.-]*[_.-])?(?:password|passwd|pwd|pass|secret|token|apikey|key|credentials?|sig|signature)=)"
    r"(?P<secret>[^&;\s'\"#]+)",
    re.I,
)
_SHORTEST = 3  # a shorter secret is masked in addresses only: elsewhere it would match ordinary text


def masked(text: str, *, is_address: bool = False) -> str:
    """The text with `***` for the password of each address in it: `://user:password@`, `?token=...`.

    `http://host:80/a@b` has no password. With `is_address` (the text is the address of a store), any `@` ends one.
    """
    for pattern in (_USER, _QUERY):
        text = pattern.sub(
            lambda found: found["before"] + (MASK if _is_secret(found, is_address) else found["secret"]), text
        )
    return text


def _is_secret(found: "re.Match[str]", is_address: bool) -> bool:
    if _INTERPOLATION.fullmatch(found["secret"]):
        return False  # ${oc.env:PASSWORD} does not contain the password
    is_port = re.match(r"\d+/", found["secret"]) and found.groupdict().get("scheme", "").lower() in ("http", "https")
    return is_address or not is_port


def hide(arguments: Sequence[str]) -> list[str]:
    """The arguments with masked addresses. Raises ConfigError for an address that is not the whole value of its key."""
    return [_hidden(argument) for argument in arguments]


def hide_address(address: str) -> str:
    """The address of a store with its password masked; `revealed` gives it back."""
    if (shown := masked(address, is_address=True)) != address:
        _keep(address)
    return shown


def _hidden(argument: str) -> str:
    key, _, text = argument.partition("=")
    named = key.lstrip("+")
    is_address = named in _ADDRESS_KEYS
    if masked(text, is_address=is_address) == text:
        return argument
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import QuotedString
    from hydra.errors import HydraException

    try:
        value = OverridesParser.create().parse_override(argument).value()
    except HydraException:
        _keep(text)  # Hydra refuses the argument and repeats it in its message
        return argument
    plain = value.text if isinstance(value, QuotedString) else value
    if not isinstance(plain, str):
        raise ConfigError(f"{named}: an address with a password must be the whole value of its key, and the only one")
    _keep(plain)
    return f"{key}={quoted(masked(plain, is_address=is_address))}"


def hide_in_config(config: "DictConfig") -> list[str]:
    """Mask addresses in the config, in place. Returns overrides that do the same in a job of a sweep."""
    from omegaconf import read_write

    overrides = []
    for path, node, key in _leaves(config, ()):
        is_address = ".".join(path) in _ADDRESS_KEYS
        if masked(node[key], is_address=is_address) != node[key]:
            _keep(node[key])
            with read_write(node):
                node[key] = masked(node[key], is_address=is_address)
            if not any(part.isdigit() for part in path):  # Hydra cannot override one item of a list
                overrides.append(f"{'.'.join(path)}={quoted(node[key])}")
    return overrides


def _leaves(node: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any, str | int]]:
    """Each string of the config as (path, container, key); interpolations are skipped."""
    from omegaconf import DictConfig, ListConfig, OmegaConf

    keys = list(node) if isinstance(node, DictConfig) else list(range(len(node)))
    for key in keys:
        if OmegaConf.is_missing(node, key) or OmegaConf.is_interpolation(node, key):
            continue
        value = node[key]
        if isinstance(value, (DictConfig, ListConfig)):
            yield from _leaves(value, (*path, str(key)))
        elif isinstance(value, str):
            yield (*path, str(key)), node, key


def revealed(address: str) -> str:
    """The address without mask; the same text if nothing is masked, or if this process does not have the address."""
    if MASK not in address:
        return address
    known = [*_kept(), os.environ.get("MLFLOW_TRACKING_URI", "").strip()]
    fits = (one for one in reversed(known) if address in (masked(one), masked(one, is_address=True)))
    return next(fits, address)


def without_secrets(text: str) -> str:
    """The text without the passwords that this process keeps, in raw or percent-encoded form."""
    for form in sorted({form for one in _known() for form in _forms(one)}, key=len, reverse=True):
        text = text.replace(form, MASK)
    return masked(text)


@contextmanager
def passwords_kept() -> Iterator[None]:
    """Forget the addresses that are hidden in the context when it ends. An error that leaves it shows no password."""
    before = os.environ.get(VARIABLE)
    try:
        yield
    except Exception as error:
        if any(without_secrets(str(cause)) != str(cause) for cause in _causes(error)):
            raise error from None  # Python prints the messages of the causes too
        raise
    finally:
        if before is None:
            os.environ.pop(VARIABLE, None)
        else:
            os.environ[VARIABLE] = before


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The errors from which this one was raised."""
    cause = error.__cause__ or error.__context__
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


class SecretFormatter(logging.Formatter):
    """A log formatter that masks passwords in lines and tracebacks."""

    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(super().format(record))


def _keep(address: str) -> None:
    kept = [one for one in _kept() if one != address]
    os.environ[VARIABLE] = json.dumps([*kept, address])


def _kept() -> list[str]:
    return list(json.loads(os.environ.get(VARIABLE, "[]")))


def _known() -> Iterator[str]:
    """Every password of the masked addresses and of MLflow's variables."""
    for address in (*_kept(), os.environ.get("MLFLOW_TRACKING_URI", "")):
        for pattern in (_USER, _QUERY):
            yield from (found["secret"] for found in pattern.finditer(address) if _is_secret(found, True))
    yield from (os.environ.get(name, "") for name in ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"))


def _forms(secret: str) -> set[str]:
    """The forms in which a password may be written: raw, and percent-encoded by several rules."""
    raws = {secret, unquote(secret), unquote_plus(secret)}
    forms = raws | {quote(raw, safe=safe) for raw in raws for safe in ("", "/")} | {quote_plus(raw) for raw in raws}
    forms |= {re.sub("%[0-9A-F]{2}", lambda code: code[0].lower(), form) for form in forms}
    return {form for form in forms if len(form) >= _SHORTEST}
