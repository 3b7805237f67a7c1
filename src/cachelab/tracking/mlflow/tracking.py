"""Tracks runs in an MLflow store."""

import logging
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

from pydantic import Field
from pydantic.dataclasses import dataclass

from cachelab.errors import TrackingError
from cachelab.interrupt import transaction
from cachelab.secret import MASK, masked, revealed
from cachelab.sqlite_address import database_file, in_memory, is_sqlite
from cachelab.strict_config import STRICT, Text
from cachelab.tracking.base import FinishedRun
from cachelab.tracking.description import RunDescription

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from cachelab.tracking.mlflow.run import MlflowRun
    from cachelab.tracking.mlflow.store import MlflowStore

DEFAULT_URI = "sqlite:///mlflow.db"
_LOCK_S = 20.0  # how long to wait for another process that writes
_TABLES = {"experiments", "runs"}  # every version of MLflow's database has them

TagKey = Annotated[str, Field(pattern=r"^[\w.\- /:]+$", max_length=250)]
"""The keys that MLflow allows for a tag."""


@dataclass(frozen=True, config=STRICT)
class MlflowTracking:
    """An MLflow experiment; `uri` None: in $MLFLOW_TRACKING_URI, or else in `mlflow.db` in the working directory."""

    uri: Text | None
    experiment: Annotated[Text, Field(max_length=500)]
    run_name: Annotated[Text, Field(max_length=500)] | None
    tags: dict[TagKey, Annotated[str, Field(max_length=5000)] | int | float | bool]

    def start(self, description: RunDescription) -> "MlflowRun":
        """Create the run and log its config. Raises TrackingError if the store cannot be reached or written."""
        with self.open() as store:
            from cachelab.tracking.mlflow.run import MlflowRun

            run, begun = store.start(self.run_name or description.run_name, description)
        tracked = MlflowRun(
            store.client, store.uri, store.experiment_id, run.info.run_id, description.output_dir, begun=begun
        )
        try:
            tracked.log_config(description, {key: str(value) for key, value in self.tags.items()})
        except BaseException as error:
            tracked.end(error)
            raise
        return tracked

    def end_dead_runs(self) -> None:
        """End the runs of this machine, in any experiment, whose process died: FAILED ("process died")."""
        with self.open() as store:
            store.end_dead_runs()

    def find_finished(self, description: RunDescription, *, anywhere: bool) -> FinishedRun | None:
        """See Tracking. The id of a run found in another sweep is logged to the sweep's own run."""
        if description.job_digest is None or description.sweep is None:
            return None
        with self.open() as store:
            from cachelab.tracking.mlflow.store import DIGEST, REUSED

            run = store.child(description.sweep)
            if (
                run is not None
                and run.info.status == "FINISHED"
                and run.data.tags.get(DIGEST) == description.job_digest
            ):
                return FinishedRun(run.info.run_id, run.data.metrics)
            if not anywhere or (run := store.find_finished(description.job_digest)) is None:
                return None
            if (parent := description.sweep.parent_run_id) is not None:
                store.client.set_tag(parent, f"{REUSED}{description.sweep.number}", run.info.run_id)
            return FinishedRun(run.info.run_id, run.data.metrics)

    @contextmanager
    def open(self) -> Iterator["MlflowStore"]:
        """The experiment, created if it is new. Errors of the store inside the context become TrackingErrors.

        Raises TrackingError if the store cannot be reached or used; within seconds if nothing answers.
        """
        key, uri = self._address()
        where = f"{key}={masked(uri, is_address=True)}"
        _refuse_what_cannot_keep(where, uri)
        _try_sqlite(where, uri)
        _silence()
        from mlflow import MlflowClient

        from cachelab.tracking.mlflow.database import make_database
        from cachelab.tracking.mlflow.errors import asking
        from cachelab.tracking.mlflow.store import MlflowStore

        with asking(uri, where, _way_out(uri)):
            if (path := database_file(uri)) is not None:
                make_database(path)
            client = MlflowClient(tracking_uri=uri, registry_uri=uri)
            with transaction(uri):
                yield MlflowStore(client, uri, self._experiment_id(client, uri))

    @contextmanager
    def reading(self) -> Iterator["MlflowClient"]:
        """The store's client for as long as the context lasts; nothing is made or written.

        Raises TrackingError if the store cannot be reached, or if its SQLite file does not exist.
        """
        key, uri = self._address()
        where = f"{key}={masked(uri, is_address=True)}"
        _refuse_what_cannot_keep(where, uri)
        if (path := database_file(uri)) is not None and not path.is_file():
            raise TrackingError(f"{where}: there is no database {path}: name the store that holds the run")
        if path is not None:
            _refuse_foreign(where, path, "name the store that holds the run")
        _silence()
        from mlflow import MlflowClient

        from cachelab.tracking.mlflow.errors import asking

        with asking(uri, where, "name the store that holds the run"):
            yield MlflowClient(tracking_uri=uri, registry_uri=uri)

    def absolute_uri(self) -> str:
        """The address with the absolute path of an SQLite file: it is valid in every working directory."""
        _, uri = self._address()
        path = database_file(uri)
        return uri if path is None else f"{uri.split(':')[0]}:///{path}"

    def _address(self) -> tuple[str, str]:
        """(the setting or variable that holds the address, the address with its password)."""
        if self.uri:
            key, uri = "tracking.uri", self.uri
        elif from_environment := os.environ.get("MLFLOW_TRACKING_URI", "").strip():
            key, uri = "MLFLOW_TRACKING_URI", from_environment
        else:
            key, uri = "tracking.uri", DEFAULT_URI
        address = revealed(uri)
        if MASK in address:
            raise TrackingError(
                f"{key}={address}: passwords are not written to files: set MLFLOW_TRACKING_URI to the whole address"
            )
        return key, address

    def _experiment_id(self, client: "MlflowClient", uri: str) -> str:
        from mlflow.exceptions import MlflowException

        found = client.get_experiment_by_name(self.experiment)
        if found is None:
            try:
                return client.create_experiment(
                    self.experiment,
                    artifact_location=_artifacts(uri, self.experiment),
                    tags={"mlflow.experimentKind": "custom_model_development"},  # its page shows the runs first
                )
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
                found = client.get_experiment_by_name(self.experiment)  # another process has just created it
        if found is not None and not found.experiment_id:
            raise MlflowException("the server is not MLflow")  # `asking` adds the address
        if found is None or found.lifecycle_stage != "active":
            raise TrackingError(
                f"tracking.experiment={self.experiment}: this MLflow experiment was deleted: "
                "restore it (mlflow experiments restore) or choose another name"
            )
        return str(found.experiment_id)


def _refuse_what_cannot_keep(where: str, uri: str) -> None:
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


def _try_sqlite(where: str, uri: str) -> None:
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
        raise TrackingError(f"{where}: {reason} ({path}): {_way_out(uri)}") from error
    _refuse_foreign(where, path, _way_out(uri))


def _refuse_foreign(where: str, path: Path, way_out: str) -> None:
    """Raises TrackingError for another program's database: MLflow would add its own tables, or stop halfway."""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", timeout=_LOCK_S, uri=True)) as database:
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error as error:
        raise TrackingError(f"{where}: {error} ({path}): {way_out}") from error
    if tables and not tables >= _TABLES:
        some = ", ".join(sorted(tables)[:5])
        raise TrackingError(f"{where}: this database is not MLflow's (its tables: {some}): {way_out}")


def _way_out(uri: str) -> str:
    if uri.startswith("http"):
        return "start the MLflow server, correct the address, or run with tracking=none"
    if uri.startswith("sqlite"):
        return "choose a database file that can be written (tracking.uri=sqlite:///FILE), or run with tracking=none"
    return f"correct the address (for example {DEFAULT_URI}), or run with tracking=none"


def _artifacts(uri: str, experiment: str) -> str | None:
    """The folder of the artifacts: next to an SQLite file; None lets the server decide."""
    path = database_file(uri)
    return None if path is None else str(path.parent / "mlartifacts" / re.sub(r"[^\w.-]+", "_", experiment))


def _silence() -> None:
    """Let MLflow and alembic log as other libraries do: warnings to the run's log, which masks passwords.

    MLflow has a handler of its own, which prints the traceback of each failed statement on the console.
    """
    import mlflow  # noqa: F401  its import sets its own level

    own = logging.getLogger("mlflow")
    for handler in list(own.handlers):
        own.removeHandler(handler)
    own.propagate = True
    for name in ("mlflow", "alembic"):
        if not os.environ.get("MLFLOW_LOGGING_LEVEL"):
            logging.getLogger(name).setLevel(logging.WARNING)
    # cachelab reports an error of the database in one line; MLflow would log SQLAlchemy's traceback first.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
