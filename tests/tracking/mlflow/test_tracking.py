import json
import logging
import logging.handlers
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from cachelab.dataset.base import LoadedDataset
from cachelab.errors import EngineError
from cachelab.metrics.base import Numbers
from cachelab.tracking.description import RunDescription, SweepMember, parameters_of
from cachelab.tracking.mlflow.run import MlflowRun
from cachelab.tracking.mlflow.store import PROCESS, MlflowStore
from cachelab.tracking.mlflow.tracking import MlflowTracking
from cachelab.tracking.mlflow.zero_counts import ZERO_COUNTS, with_zero_counts, zero_counts

DATASET = LoadedDataset("sample", "sample.json", "0123456789abcdef" * 4, [], {"turns": 328, "dropped_empty": 0})
NUMBERS = Numbers({"dataset/turns": 328.0, "hit_rate/first_prefill": 0.4}, {"turn/hit_rate": {0: 0.0, 1: 0.4, 2: 0.57}})


def stored(client: MlflowClient, run: MlflowRun) -> Run:
    assert run.run_id is not None
    return client.get_run(run.run_id)


def text(client: MlflowClient, run: Run, path: str, folder: Path) -> str:
    folder.mkdir(exist_ok=True)
    return Path(client.download_artifacts(run.info.run_id, path, str(folder))).read_text()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "artifacts"
    (folder / "figures").mkdir(parents=True)
    (folder / "summary.md").write_text("# the summary\n")
    (folder / "figures" / "a.png").write_bytes(b"png")
    return folder


@pytest.fixture
def root_handler(tmp_path: Path) -> Iterator[logging.Handler]:
    """A log file as Hydra's job logging writes it, its last lines not yet flushed."""
    handler = logging.handlers.MemoryHandler(1000, target=logging.FileHandler(tmp_path / "cachelab.log"))
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)
    handler.close()


def test_finished_run_holds_everything(
    tracking: MlflowTracking, client: MlflowClient, description: RunDescription, folder: Path, tmp_path: Path
) -> None:
    with tracking.start(description) as tracked:
        assert stored(client, tracked).info.status == "RUNNING"
        tracked.log_dataset(DATASET)
        tracked.log_workload({"dataset/turns": 328.0})
        tracked.log_result(NUMBERS, folder)

    run = stored(client, tracked)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "multi_turn"
    assert run.info.end_time is not None
    assert run.data.params == {
        "engine.block_size": "8",
        "engine.args": "{}",
        "engine.enable_prefix_caching": "true",
        "cache_dir": "null",
    }
    assert run.data.metrics == {"dataset/turns": 328.0, "hit_rate/first_prefill": 0.4, "turn/hit_rate": 0.57}
    history = client.get_metric_history(run.info.run_id, "turn/hit_rate")
    assert sorted((point.step, point.value) for point in history) == [(0, 0.0), (1, 0.4), (2, 0.57)]
    tags = run.data.tags
    assert tags["cachelab.engine"] == "sim"
    assert tags["cachelab.vllm_version"] == "0.32.0"
    assert tags["cachelab.overrides"] == "experiment=multi_turn"
    assert tags["cachelab.command"] == "python -m cachelab experiment=multi_turn"
    assert tags["cachelab.dataset_digest"] == DATASET.digest
    assert tags["mlflow.note.content"] == "# the summary\n"
    assert "cachelab.error" not in tags
    assert run.inputs is not None
    (given,) = run.inputs.dataset_inputs
    assert (given.dataset.name, given.dataset.digest) == ("sample", DATASET.digest[:36])
    assert json.loads(given.dataset.source) == {"uri": "sample.json"}
    assert json.loads(given.dataset.profile or "") == {"turns": 328, "dropped_empty": 0}
    names = {item.path for item in client.list_artifacts(run.info.run_id)}
    assert names == {"config.yaml", "summary.md", "figures", "cachelab.log"}
    assert text(client, run, "config.yaml", tmp_path / "down") == description.config_yaml
    assert text(client, run, "cachelab.log", tmp_path / "down") == "a line of the log\n"


def test_number_known_early_is_logged_once(
    tracking: MlflowTracking, client: MlflowClient, description: RunDescription, folder: Path
) -> None:
    with tracking.start(description) as tracked:
        tracked.log_workload({"dataset/turns": 328.0})
        tracked.log_result(NUMBERS, folder)

    assert len(client.get_metric_history(stored(client, tracked).info.run_id, "dataset/turns")) == 1


def test_headline_is_the_first_metric_and_counts_of_0_are_a_tag(
    tracking: MlflowTracking, client: MlflowClient, description: RunDescription, folder: Path
) -> None:
    counts = {"dataset/turns": 328.0, "dataset/dropped_empty": 0.0, "filter/tokens_kept_share": 0.0}
    values = {"hit_rate/first_prefill": 0.0, "requests/rejected": 0.0, "losses/other": 0.0, **counts}
    with tracking.start(description) as tracked:
        tracked.log_workload(counts)
        tracked.log_result(Numbers(values, {}), folder)

    run = stored(client, tracked)
    assert list(run.data.metrics) == [
        "hit_rate/first_prefill",
        "losses/other",
        "dataset/turns",
        "filter/tokens_kept_share",
    ]
    assert run.data.tags[ZERO_COUNTS] == "requests/rejected dataset/dropped_empty"
    assert with_zero_counts(run.data.metrics, run.data.tags) == values


def test_count_that_an_earlier_attempt_logged_is_logged_as_0(
    own_tracking: MlflowTracking, own_store: MlflowStore, description: RunDescription, folder: Path
) -> None:
    member = replace(description, sweep=SweepMember("p", 0), job_digest="d")
    own_tracking.start(member).log_result(Numbers({"requests/rejected": 3.0, "blocks/hit": 0.0}, {}), folder)
    with own_tracking.start(member) as resumed:
        resumed.log_result(Numbers({"requests/rejected": 0.0, "blocks/hit": 2.0}, {}), folder)

    run = own_store.client.get_run(str(resumed.run_id))
    assert with_zero_counts(run.data.metrics, run.data.tags) == {"requests/rejected": 0.0, "blocks/hit": 2.0}
    assert run.data.tags[ZERO_COUNTS] == ""


def test_finished_run_that_is_reused_has_its_counts_of_0(
    own_tracking: MlflowTracking, description: RunDescription, folder: Path
) -> None:
    member = replace(description, sweep=SweepMember("p", 0), job_digest="reused")
    with own_tracking.start(member) as tracked:
        tracked.log_result(Numbers({"requests/rejected": 0.0, "hit_rate/first_prefill": 0.5}, {}), folder)

    found = own_tracking.find_finished(member, anywhere=False)
    assert found is not None
    assert found.values == {"requests/rejected": 0.0, "hit_rate/first_prefill": 0.5}


def test_experiment_has_the_columns_of_the_run_list(
    store: str, client: MlflowClient, description: RunDescription
) -> None:
    tracking = MlflowTracking(uri=store, experiment="an older one", run_name=None, tags={})
    older = client.create_experiment("an older one")
    with tracking.start(description):
        pass

    columns = json.loads(client.get_experiment(older).tags["mlflow.sharedViewState.cachelab"])["selectedColumns"]
    assert columns[0] == "metrics.`hit_rate/first_prefill`"


def test_zero_counts_that_exceed_one_tag_are_metrics() -> None:
    assert len(zero_counts({f"dataset/{number:0100}": 0.0 for number in range(70)})) == 70
    assert zero_counts({f"dataset/{number:0100}": 0.0 for number in range(80)}) == []


def test_parameters_do_not_list_what_is_measured() -> None:
    assert parameters_of({"metrics": {"a": "b"}, "order": {"num_users": 2}}) == {"order.num_users": "2"}


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (EngineError("the engine lost\nrequest 3"), "FAILED", "the engine lost request 3"),
        (ValueError("a bug"), "FAILED", "ValueError: a bug"),
        (KeyboardInterrupt(), "KILLED", "KeyboardInterrupt"),
    ],
)
def test_ended_by_an_error(
    tracking: MlflowTracking,
    client: MlflowClient,
    description: RunDescription,
    tmp_path: Path,
    error: BaseException,
    status: str,
    reason: str,
) -> None:
    tracked = tracking.start(description)
    tracked.log_workload({"dataset/turns": 328.0})
    with pytest.raises(type(error)), tracked:
        raise error

    run = stored(client, tracked)
    assert run.info.status == status
    assert run.data.tags["cachelab.error"] == reason
    assert run.data.metrics == {"dataset/turns": 328.0}
    assert text(client, run, "config.yaml", tmp_path / "down") == description.config_yaml
    assert text(client, run, "cachelab.log", tmp_path / "down") == "a line of the log\n"
    assert "Traceback" in text(client, run, "error.txt", tmp_path / "down")


def test_log_is_flushed_before_it_is_uploaded(
    tracking: MlflowTracking,
    client: MlflowClient,
    description: RunDescription,
    tmp_path: Path,
    root_handler: logging.Handler,
) -> None:
    with tracking.start(description) as tracked:
        logging.getLogger("cachelab").warning("the last line")

    assert "the last line" in text(client, stored(client, tracked), "cachelab.log", tmp_path / "down")


def test_more_items_than_a_batch_and_longer_than_a_value(
    tracking: MlflowTracking, client: MlflowClient, description: RunDescription, folder: Path
) -> None:
    parameters = {f"key.{index}": "x" for index in range(250)} | {"long": "y" * 7000}
    (folder / "summary.md").write_text("\n".join(f"| row {index:04} |" for index in range(1000)))
    many = Numbers({f"m/{index}": float(index) for index in range(1500)}, {"s": {step: 1.0 for step in range(1200)}})
    with tracking.start(replace(description, parameters=parameters)) as tracked:
        tracked.log_result(many, folder)

    run = stored(client, tracked)
    assert len(run.data.params) == 251
    assert run.data.params["long"] == "y" * 5997 + "..."
    assert len(run.data.metrics) == 1501
    assert len(client.get_metric_history(run.info.run_id, "s")) == 1200
    note = run.data.tags["mlflow.note.content"].splitlines()
    assert len(run.data.tags["mlflow.note.content"]) <= 8000
    assert note[-1] == "(The rest is in the artifact summary.md.)"
    assert all(line == f"| row {index:04} |" for index, line in enumerate(note[:-2]))


def test_own_name_and_tags(store: str, client: MlflowClient, description: RunDescription) -> None:
    tracking = MlflowTracking(uri=store, experiment="e", run_name="mine", tags={"purpose": "paper", "n": 3})
    with tracking.start(description) as tracked:
        pass

    run = stored(client, tracked)
    assert run.info.run_name == "mine"
    assert (run.data.tags["purpose"], run.data.tags["n"]) == ("paper", "3")


def test_artifacts_lie_beside_the_database(
    store: str, client: MlflowClient, tracking: MlflowTracking, description: RunDescription
) -> None:
    with tracking.start(description) as tracked:
        pass

    beside = Path(store.removeprefix("sqlite:///")).parent / "mlartifacts" / "cachelab_tests"
    assert stored(client, tracked).info.artifact_uri.startswith(str(beside))


def test_where_to_look(store: str, tracking: MlflowTracking, description: RunDescription) -> None:
    with tracking.start(description) as tracked:
        pass

    looking = dict(tracked.where_to_look)
    assert looking.pop("then").endswith(f"/runs/{tracked.run_id}")
    assert looking.pop("all runs").endswith("/runs?viewStateShareKey=cachelab")
    assert looking == {"MLflow": f"mlflow ui --backend-store-uri {store}", "run id": tracked.run_id}


def test_environment_names_the_store(
    store: str, client: MlflowClient, description: RunDescription, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    with MlflowTracking(uri=None, experiment="from the environment", run_name=None, tags={}).start(description):
        pass

    assert client.get_experiment_by_name("from the environment") is not None


def test_nothing_on_the_console(
    tmp_path: Path, description: RunDescription, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fresh = MlflowTracking(uri=f"sqlite:///{tmp_path}/new/mlflow.db", experiment="e", run_name=None, tags={})
    with fresh.start(description) as tracked:
        tracked.log_dataset(DATASET)
        tracked.log_result(NUMBERS, folder)

    assert capfd.readouterr() == ("", "")


def test_run_that_was_ended_meanwhile_is_not_marked_as_dead(
    own_tracking: MlflowTracking, own_store: MlflowStore, description: RunDescription, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = str(own_tracking.start(description).run_id)
    own_store.client.set_tag(run_id, PROCESS, f"{socket.gethostname()} 999999999 1.0")
    search_runs = own_store.client.search_runs

    def found_and_then_ended(*arguments: Any, **named: Any) -> Any:
        found = search_runs(*arguments, **named)
        own_store.client.set_terminated(run_id, "FINISHED")  # `sync` of another process
        return found

    with monkeypatch.context() as patch:
        patch.setattr(own_store.client, "search_runs", found_and_then_ended)
        own_store.end_dead_runs()
    assert own_store.client.get_run(run_id).info.status == "FINISHED"

    own_store.client.update_run(run_id, status="RUNNING")
    own_store.end_dead_runs()
    assert own_store.client.get_run(run_id).info.status == "FAILED"
