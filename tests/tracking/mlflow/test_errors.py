import logging
import shutil
import socket
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from cachelab.dataset.base import LoadedDataset
from cachelab.errors import EngineError, TrackingError
from cachelab.metrics.base import Numbers
from cachelab.tracking.description import RunDescription
from cachelab.tracking.mlflow.tracking import MlflowTracking


def refusal(uri: str | None, description: RunDescription) -> str:
    with pytest.raises(TrackingError) as caught:
        MlflowTracking(uri=uri, experiment="e", run_name=None, tags={}).start(description)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_start_file_that_is_no_database(description: RunDescription, tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_text("these are notes, no database\n" * 40)

    message = refusal(f"sqlite:///{path}", description)

    assert message.startswith(f"tracking.uri=sqlite:///{path}: file is not a database")
    assert "tracking=none" in message
    assert path.read_text() == "these are notes, no database\n" * 40


def test_start_corrupt_database(store: str, tracking: MlflowTracking, description: RunDescription) -> None:
    with tracking.start(description):
        pass
    path = Path(store.removeprefix("sqlite:///")).with_name("corrupt.db")
    shutil.copy(store.removeprefix("sqlite:///"), path)
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 4000)

    assert refusal(f"sqlite:///{path}", description).startswith(f"tracking.uri=sqlite:///{path}: ")


def test_start_folder_that_is_a_file(description: RunDescription, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    assert "File exists" in refusal(f"sqlite:///{tmp_path}/file/mlflow.db", description)


def test_start_database_that_cannot_be_written(
    description: RunDescription, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "read_only.db"
    sqlite3.connect(path).executescript("create table t (x)")
    connect = sqlite3.connect
    # The tests may run as root, whom no file mode stops.
    monkeypatch.setattr(sqlite3, "connect", lambda path, **kw: connect(f"file:{path}?mode=ro", uri=True, **kw))

    assert "attempt to write a readonly database" in refusal(f"sqlite:///{path}", description)


@pytest.mark.parametrize("uri", ["./mlruns", "file:///srv/mlruns", "mlruns"])
def test_start_file_store(uri: str, description: RunDescription) -> None:
    assert "use sqlite:///mlflow.db" in refusal(uri, description)


@pytest.mark.parametrize("uri", ["mlflow.db", "sqlite:mlflow.db"])
def test_start_path_instead_of_an_address(uri: str, description: RunDescription) -> None:
    assert refusal(uri, description).endswith("write sqlite:///mlflow.db")


def test_start_names_the_variable_that_is_wrong(description: RunDescription, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "./mlruns")

    assert refusal(None, description).startswith("MLFLOW_TRACKING_URI=./mlruns: ")


def test_start_server_that_does_not_answer(description: RunDescription, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    message = refusal(f"http://me:s3cret@127.0.0.1:{port}", description)

    assert message.startswith(
        f"tracking.uri=http://me:***@127.0.0.1:{port}: Connection refused: start the MLflow server"
    )
    assert "s3cret" not in message


def test_start_unknown_scheme(description: RunDescription) -> None:
    assert "foo://x" in refusal("foo://x", description)


def test_start_deleted_experiment(store: str, client: MlflowClient, description: RunDescription) -> None:
    tracking = MlflowTracking(uri=store, experiment="deleted", run_name=None, tags={})
    with tracking.start(description):
        pass
    experiment = client.get_experiment_by_name("deleted")
    assert experiment is not None
    client.delete_experiment(experiment.experiment_id)

    with pytest.raises(TrackingError, match=r"tracking\.experiment=deleted: this MLflow experiment was deleted"):
        tracking.start(description)


def test_result_that_cannot_be_stored_says_where_it_is(
    tracking: MlflowTracking, client: MlflowClient, description: RunDescription, tmp_path: Path
) -> None:
    tracked = tracking.start(description)
    assert tracked.run_id is not None
    artifacts = Path(client.get_run(tracked.run_id).info.artifact_uri)
    shutil.rmtree(artifacts)
    artifacts.write_text("in the way")

    with pytest.raises(TrackingError, match=f"the results are in {tmp_path}") as caught, tracked:
        tracked.log_result(Numbers({}, {}), tmp_path)

    assert "\n" not in str(caught.value)
    assert client.get_run(tracked.run_id).info.status == "FAILED"


def lose(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: object, **__: object) -> None:
        raise OSError("the server is away")

    monkeypatch.setattr(MlflowClient, "set_terminated", lost)


def test_store_lost_hides_no_error(
    tracking: MlflowTracking,
    description: RunDescription,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    tracked = tracking.start(description)
    lose(monkeypatch)
    with caplog.at_level(logging.WARNING), pytest.raises(EngineError, match="lost a request"), tracked:
        raise EngineError("lost a request")

    assert "the server is away" in caplog.text


def test_store_lost_at_the_end_is_an_error(
    tracking: MlflowTracking, description: RunDescription, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracked = tracking.start(description)
    lose(monkeypatch)
    with pytest.raises(TrackingError, match="cannot set the run FINISHED: the server is away"), tracked:
        pass


def test_row_that_another_process_wrote_first_is_read_again(
    tracking: MlflowTracking, client: MlflowClient, description: RunDescription, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_inputs = MlflowClient.log_inputs
    failures = [
        "(sqlite3.IntegrityError) UNIQUE constraint failed: datasets.experiment_id, datasets.name\n[SQL]",
        '(psycopg2.errors.UniqueViolation) duplicate key value violates unique constraint "datasets_pkey"',
    ]

    def second(self: MlflowClient, *arguments: Any, **named: Any) -> None:
        if failures:
            raise MlflowException(failures.pop())
        log_inputs(self, *arguments, **named)

    monkeypatch.setattr(MlflowClient, "log_inputs", second)
    with tracking.start(description) as tracked:
        tracked.log_dataset(LoadedDataset("data", "sample", "0" * 64, [], {}))
    assert not failures
    run = client.get_run(str(tracked.run_id))
    assert run.info.status == "FINISHED"
    assert run.inputs is not None
    assert [one.dataset.digest for one in run.inputs.dataset_inputs] == ["0" * 36]
