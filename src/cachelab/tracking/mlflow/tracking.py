"""Tracks runs in an MLflow store."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from cachelab.errors import TrackingError
from cachelab.interrupt import transaction
from cachelab.secret import MASK, masked, revealed
from cachelab.sqlite_address import database_file
from cachelab.strict_config import STRICT, Text
from cachelab.tracking.base import FinishedRun
from cachelab.tracking.description import RunDescription
from cachelab.tracking.mlflow.address import (
    DEFAULT_URI,
    artifact_folder,
    check_writable,
    refuse_foreign,
    refuse_unusable,
    way_out_of,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from cachelab.tracking.mlflow.run import MlflowRun
    from cachelab.tracking.mlflow.store import MlflowStore

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
            from cachelab.tracking.mlflow.zero_counts import with_zero_counts

            run = store.child(description.sweep)
            if (
                run is not None
                and run.info.status == "FINISHED"
                and run.data.tags.get(DIGEST) == description.job_digest
            ):
                return FinishedRun(run.info.run_id, with_zero_counts(run.data.metrics, run.data.tags))
            if not anywhere or (run := store.find_finished(description.job_digest)) is None:
                return None
            if (parent := description.sweep.parent_run_id) is not None:
                store.client.set_tag(parent, f"{REUSED}{description.sweep.number}", run.info.run_id)
            return FinishedRun(run.info.run_id, with_zero_counts(run.data.metrics, run.data.tags))

    @contextmanager
    def open(self) -> Iterator["MlflowStore"]:
        """The experiment, created if it is new. Errors of the store inside the context become TrackingErrors.

        Raises TrackingError if the store cannot be reached or used; within seconds if nothing answers.
        """
        key, uri = self._address()
        where = f"{key}={masked(uri, is_address=True)}"
        refuse_unusable(where, uri)
        check_writable(where, uri)
        _silence()
        from mlflow import MlflowClient

        from cachelab.tracking.mlflow.database import make_database
        from cachelab.tracking.mlflow.errors import asking
        from cachelab.tracking.mlflow.store import MlflowStore

        with asking(uri, where, way_out_of(uri)):
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
        refuse_unusable(where, uri)
        if (path := database_file(uri)) is not None and not path.is_file():
            raise TrackingError(f"{where}: there is no database {path}: name the store that holds the run")
        if path is not None:
            refuse_foreign(where, path, "name the store that holds the run")
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

        from cachelab.tracking.mlflow.run_list import VIEW, VIEW_TAG

        found = client.get_experiment_by_name(self.experiment)
        if found is None:
            try:
                return client.create_experiment(
                    self.experiment,
                    artifact_location=artifact_folder(uri, self.experiment),
                    # The first tag makes the experiment's page show the runs first.
                    tags={"mlflow.experimentKind": "custom_model_development", VIEW_TAG: VIEW},
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
        if found.tags.get(VIEW_TAG) != VIEW:
            client.set_experiment_tag(found.experiment_id, VIEW_TAG, VIEW)
        return str(found.experiment_id)


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
