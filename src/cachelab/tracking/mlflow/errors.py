"""What an MLflow store refuses, in one line; imports MLflow, so it is itself imported only when a run starts."""

import os
import re
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import requests
from mlflow.exceptions import MlflowException

from cachelab import error_format
from cachelab.error_format import cut
from cachelab.errors import CachelabError, TrackingError
from cachelab.secret import without_secrets

CLIENT = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "12",  # MLflow's own 120 s and 7 retries let a hung server hold a run for 16 minutes
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # MlflowRun tries again where that helps
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # the summary says where to look, without a password
}
"""How MLflow's client behaves unless its variables are set already."""

_AWAY = (ConnectionError, requests.ConnectionError, requests.exceptions.RetryError)
_REST_S = 300.0
_silent_since: dict[str, float] = {}
"""Address of a store -> when (monotonic) it left a request of this process without an answer."""


class StoreAwayError(TrackingError):
    """Nothing serves the address, or what does cannot at the moment: another try may help."""


class StoreSilentError(TrackingError):
    """The store took a request and did not answer in time: another try would only wait again."""


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables that are not set, for a while: some of MLflow's ways are open to its environment only."""
    added = {key: value for key, value in values.items() if key not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for key in added:
            del os.environ[key]


@contextmanager
def asking(uri: str, what: str, way_out: str = "") -> Iterator[None]:
    """Ask the store at the address, for as long as the context lasts. Raises TrackingError.

    A request waits 12 s for its answer. A store that was silent is left alone by this process for five minutes: the
    jobs of a sweep, its end and the end of a run raise StoreSilentError at once.
    """
    since = _silent_since.get(uri)
    if since is not None and (ago_s := time.monotonic() - since) < _REST_S:
        raise StoreSilentError(f"{what}: it did not answer {ago_s:.0f} s ago and is left alone for {_REST_S:.0f} s")
    try:
        with environment(CLIENT), _store_errors(what, way_out):
            yield
    except StoreSilentError:
        _silent_since[uri] = time.monotonic()
        raise


@contextmanager
def _store_errors(what: str, way_out: str) -> Iterator[None]:
    """Make whatever the store raises a TrackingError of one line.

    Every exception is meant: databases, servers and artifact stores raise those of their own client libraries.
    """
    try:
        yield
    except CachelabError:
        raise
    except Exception as error:
        kind, why = TrackingError, without_secrets(reason(_root(error)))
        if any(isinstance(inner, (requests.Timeout, TimeoutError)) for inner in _chain(error)):
            kind, why = StoreSilentError, f"no answer within {os.environ['MLFLOW_HTTP_REQUEST_TIMEOUT']} s"
        elif "database is locked" in why:
            kind = StoreSilentError  # SQLite has waited for 20 s already
        elif any(isinstance(inner, _AWAY) for inner in _chain(error)):
            kind = StoreAwayError
        raise kind(f"{what}: {why}{way_out and ': '}{way_out}") from error


def _chain(error: BaseException) -> list[BaseException]:
    """The error and what it was raised from, or while handling, the innermost last."""
    chain = [error]
    while (inner := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(inner)
    return chain


def _root(error: BaseException) -> BaseException:
    """The error that says most: what the system refused, else what the others were raised from."""
    chain = _chain(error)
    refused = [inner for inner in chain if isinstance(inner, OSError)]
    named = [inner for inner in refused if inner.strerror]
    if named or refused:
        return (named or refused)[-1]
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def reason(error: BaseException) -> str:
    """The error in one line, without what SQLAlchemy and urllib3 put around the reason."""
    first = str(error).strip().partition("\n")[0]  # SQLAlchemy adds the statement below
    if caused := re.search(r"\(Caused by .*['\"]([^'\"]+)['\"]\)+$", first):
        return caused[1]
    if driver := re.match(r"\([\w.]+\) ", first):  # SQLAlchemy puts the class of the driver's error in front
        return cut(first[driver.end() :], 300)
    known = isinstance(error, (CachelabError, OSError, MlflowException, sqlite3.Error))
    text = error_format.reason(error)
    return text if known or text.startswith(type(error).__name__) else f"{type(error).__name__}: {text}"
