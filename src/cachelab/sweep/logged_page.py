"""The page of a run or a sweep that was logged, read from its folder or from an MLflow store."""

import os
import re
import tempfile
from pathlib import Path

from cachelab.errors import TrackingError

PAGE = "report.html"


def logged_page(reference: str | os.PathLike[str], tracking_uri: str | None = None) -> tuple[str, str]:
    """A name for a file and the text of the page.

    Without an address the store is $MLFLOW_TRACKING_URI, or else mlflow.db in the working directory. Raises
    TrackingError if there is no such run, or if it has no page.
    """
    folder = Path(reference).expanduser()
    if folder.is_dir():
        return _in_folder(folder)
    if isinstance(reference, os.PathLike) or os.sep in reference:
        raise TrackingError(f"{reference}: there is no such folder: name a run's folder or a run id")
    return _in_store(reference, tracking_uri)


def _in_folder(folder: Path) -> tuple[str, str]:
    for place in (folder, folder / "artifacts", folder / "sweep"):
        if (place / PAGE).is_file():
            named = folder.resolve()
            name = named.parent.name if named.name in ("artifacts", "sweep") else named.name
            return name, (place / PAGE).read_text(encoding="utf-8")
    raise TrackingError(f"{folder}: holds no {PAGE}: name the folder of a finished run or sweep")


def _in_store(run_id: str, tracking_uri: str | None) -> tuple[str, str]:
    from cachelab.sweep.stored_run import stored_run
    from cachelab.tracking.mlflow.errors import environment

    with stored_run(run_id, tracking_uri) as (client, run), tempfile.TemporaryDirectory() as scratch:
        if PAGE not in {file.path for file in client.list_artifacts(run_id)}:
            status = run.info.status
            why = "it was logged by an older cachelab" if status == "FINISHED" else f"it is {status}"
            raise TrackingError(f"{run_id}: this run has no {PAGE} ({why}): run it again")
        with environment({"MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}):
            page = Path(client.download_artifacts(run_id, PAGE, scratch)).read_text(encoding="utf-8")
        return re.sub(r"[^\w.=-]+", "_", run.info.run_name or run_id), page
