"""A run in an MLflow store, by its id."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cachelab.errors import TrackingError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


@contextmanager
def stored_run(run_id: str, tracking_uri: str | None) -> Iterator[tuple["MlflowClient", "Run"]]:
    """The store's client and the run. Raises TrackingError if the store does not answer or has no such run.

    Without an address the store is $MLFLOW_TRACKING_URI, or else mlflow.db in the working directory.
    """
    from cachelab.secret import hide_address, masked
    from cachelab.tracking.mlflow.tracking import MlflowTracking

    address = None if tracking_uri is None else hide_address(tracking_uri)
    tracking = MlflowTracking(uri=address, experiment="cachelab", run_name=None, tags={})
    with tracking.reading() as client:
        from mlflow.exceptions import MlflowException

        try:
            run: Run = client.get_run(run_id)
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
            store = masked(tracking.absolute_uri(), is_address=True)
            raise TrackingError(
                f"{run_id}: neither a folder nor a run of {store}: name another run, or its store with --tracking-uri"
            ) from error
        yield client, run
