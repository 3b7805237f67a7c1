"""Errors of an MLflow store as one line; imports MLflow, so it is imported only when a run starts."""

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
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "12",  # with MLflow's 120 s and 7 retries a hung server blocks a run for 16 minutes
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # MlflowRun retries where that helps
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # the summary has the address, without its password
}
"""Environment variables of MLflow's client; values that the user has set win."""

_AWAY = (ConnectionError, requests.ConnectionError, requests.exceptions.RetryError)
_COLLISION = re.compile(r"UNIQUE constraint failed|duplicate key value|Duplicate entry")
"""What SQLite, PostgreSQL and MySQL say to the second of two processes that insert the same row. MLflow reads first, so
it inserts a dataset twice if two runs log it at the same moment; when asked again, it finds the row."""
_REST_S = 300.0
_silent_since: dict[str, float] = {}
"""Address of a store -> time.monotonic() when a request of this process got no answer."""


class TransientStoreError(TrackingError):
    """Another try may help: no server answers, or another process has just written the same row."""


class StoreSilentError(TrackingError):
    """The store accepted a request and did not answer in time: another try would wait again."""


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables that are not set, while the context lasts; some options of MLflow have no other way."""
    added = {key: value for key, value in values.items() if key not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for key in added:
            del os.environ[key]


@contextmanager
def asking(uri: str, what: str, way_out: str = "") -> Iterator[None]:
    """Send requests to the store at the address while the context lasts. Raises TrackingError.

    A request waits 12 s for its answer. After a request without an answer, this process sends no further request to
    that store for five minutes: further contexts raise StoreSilentError at once.
    """
    since = _silent_since.get(uri)
    if since is not None and (ago_s := time.monotonic() - since) < _REST_S:
        raise StoreSilentError(
            f"{what}: it did not answer {ago_s:.0f} s ago and is not asked again for {_REST_S:.0f} s"
        )
    try:
        with environment(CLIENT), _store_errors(what, way_out):
            yield
    except StoreSilentError:
        _silent_since[uri] = time.monotonic()
        raise


@contextmanager
def _store_errors(what: str, way_out: str) -> Iterator[None]:
    """Turn any error of the store into a TrackingError of one line.

    Every exception is caught: databases, servers and artifact stores raise those of their own client libraries.
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
        elif any(isinstance(inner, _AWAY) for inner in _chain(error)) or _COLLISION.search(why):
            kind = TransientStoreError
        raise kind(f"{what}: {why}{way_out and ': '}{way_out}") from error


def _chain(error: BaseException) -> list[BaseException]:
    """The error, its cause or context, the cause of that, and so on."""
    chain = [error]
    while (inner := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(inner)
    return chain


def _root(error: BaseException) -> BaseException:
    """The most informative error of the chain: the last error of the system, else the first cause."""
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
