"""Addresses of MLflow stores: which ones cachelab accepts, and what to do about the others. Imports no MLflow."""

import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from cachelab.errors import TrackingError
from cachelab.secret import masked
from cachelab.sqlite_address import database_file, in_memory, is_sqlite
from cachelab.tracking.mlflow.run_list import run_list

DEFAULT_URI = "sqlite:///mlflow.db"
_LOCK_S = 20.0  # how long to wait for another process that writes
_TABLES = {"experiments", "runs"}  # every version of MLflow's database has them


def refuse_unusable(where: str, uri: str) -> None:
    """Raise TrackingError for a database in memory, and for a folder of files.

    MLflow refuses folders unless MLFLOW_ALLOW_FILE_STORE is set.
    """
    if is_sqlite(uri) and (in_memory(uri) or "uri=true" in uri.lower()):
        why = (
            "this database is in memory and is lost with the process"
            if in_memory(uri)
            else "cachelab does not support SQLite's own URIs"
        )
        raise TrackingError(f"{where}: {why}: write sqlite:///FILE")
    allowed = os.environ.get("MLFLOW_ALLOW_FILE_STORE", "").lower() in ("1", "true")
    if not allowed and ("://" not in uri or uri.startswith("file:")):
        if re.search(r"\.(db|sqlite3?)$", uri):
            raise TrackingError(f"{where}: this is not an address: write sqlite:///{re.sub('^[a-z]+:/*', '', uri)}")
        raise TrackingError(f"{where}: MLflow no longer writes its file store: use {DEFAULT_URI} or another database")


def check_writable(where: str, uri: str) -> None:
    """Check that an SQLite file can be written. MLflow itself would retry for minutes. Raises TrackingError."""
    path = database_file(uri)
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path, timeout=_LOCK_S, isolation_level=None)) as database:
            database.execute("BEGIN IMMEDIATE")  # waits for another writer; succeeds on a read-only file
            (version,) = database.execute("PRAGMA user_version").fetchone()
            database.execute(f"PRAGMA user_version = {version}")
            database.execute("ROLLBACK")
    except (OSError, sqlite3.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise TrackingError(f"{where}: {reason} ({path}): {way_out_of(uri)}") from error
    refuse_foreign(where, path, way_out_of(uri))


def refuse_foreign(where: str, path: Path, way_out: str) -> None:
    """Raise TrackingError for another program's database: MLflow would add its own tables, or stop halfway."""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", timeout=_LOCK_S, uri=True)) as database:
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error as error:
        raise TrackingError(f"{where}: {error} ({path}): {way_out}") from error
    if tables and not tables >= _TABLES:
        some = ", ".join(sorted(tables)[:5])
        raise TrackingError(f"{where}: this database is not MLflow's (its tables: {some}): {way_out}")


def way_out_of(uri: str) -> str:
    """What to do if the store cannot be used, for the end of an error message."""
    if uri.startswith("http"):
        return "start the MLflow server, correct the address, or run with tracking=none"
    if uri.startswith("sqlite"):
        return "choose a database file that can be written (tracking.uri=sqlite:///FILE), or run with tracking=none"
    return f"correct the address (for example {DEFAULT_URI}), or run with tracking=none"


def artifact_folder(uri: str, experiment: str) -> str | None:
    """The folder of the artifacts: next to an SQLite file; None lets the server decide."""
    path = database_file(uri)
    return None if path is None else str(path.parent / "mlartifacts" / re.sub(r"[^\w.-]+", "_", experiment))


def where_to_look(uri: str, experiment_id: str, run_id: str) -> dict[str, str]:
    """Labelled addresses and commands that lead to a run; see TrackedRun."""
    uri = masked(uri, is_address=True)
    page, runs = f"#/experiments/{experiment_id}/runs/{run_id}", run_list(experiment_id)
    if uri.startswith("http"):
        return {"MLflow": f"{uri.rstrip('/')}/{page}", "all runs": f"{uri.rstrip('/')}/{runs}"}
    local = "http://127.0.0.1:5000"
    return {
        "MLflow": f"mlflow ui --backend-store-uri {uri}",
        "then": f"{local}/{page}",
        "all runs": f"{local}/{runs}",
        "run id": run_id,
    }
