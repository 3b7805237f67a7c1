"""What an MLflow store refuses, in one line; imports MLflow, so it is itself imported only when a run starts."""

import os
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from mlflow.exceptions import MlflowException

from cachelab.errors import CachelabError, TrackingError
from cachelab.tracking.description import without_passwords


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
def store_errors(what: str, way_out: str = "") -> Iterator[None]:
    """Make whatever the store raises a TrackingError of one line.

    Every exception is meant: databases, servers and artifact stores raise those of their own client libraries.
    """
    try:
        yield
    except CachelabError:
        raise
    except Exception as error:
        why = without_passwords(reason(_root(error)))
        raise TrackingError(f"{what}: {why}{way_out and ': '}{way_out}") from error


def _root(error: BaseException) -> BaseException:
    """The error that says most: what the system refused, else what the others were raised from."""
    chain = [error]
    while (inner := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(inner)
    refused = [inner for inner in chain if isinstance(inner, OSError)]
    named = [inner for inner in refused if inner.strerror]
    if named or refused:
        return (named or refused)[-1]
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def reason(error: BaseException) -> str:
    """The error in one line, with the name of its class where its text alone does not speak to people."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}{f': {error.filename}' if error.filename else ''}"
    lines = str(error).strip().splitlines()
    text = re.sub(r"^\([\w.]+\) ", "", lines[0]) if lines else ""  # SQLAlchemy puts its driver's class in front
    speaks = isinstance(error, (CachelabError, OSError, MlflowException, sqlite3.Error))
    return cut(text if speaks and text else f"{type(error).__name__}{text and ': '}{text}", 300)


def cut(text: str, length: int) -> str:
    """The text, cut to that many characters."""
    return text if len(text) <= length else text[: length - 1] + "…"
