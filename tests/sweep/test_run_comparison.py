"""Two finished runs compared: found by folder, by id or as a Result, and refused with the reason."""

import json
import os
import shutil
import sqlite3
import traceback
from pathlib import Path
from typing import Any

import pytest

import cachelab
from cachelab import CachelabError, ConfigError, Result, RunComparison, TrackingError, compare
from cachelab.compare_command import compare_command

BASE = ("engine=replay", "artifacts=[requests]", "filter.max_conversations=8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def store(folder: Path) -> str:
    return f"sqlite:///{folder}/mlflow.db"


@pytest.fixture(scope="module")
def arms(folder: Path, store: str) -> tuple[Result, Result]:
    """The two arms of the experiment, tracked."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        multi, single = (
            cachelab.run(f"experiment={arm}", *BASE, f"tracking.uri={store}") for arm in ("multi_turn", "single_turn")
        )
    return multi, single


@pytest.fixture
def copied(arms: tuple[Result, Result], tmp_path: Path) -> Path:
    """A copy of the first run's artifacts, without its result.json."""
    return Path(shutil.copytree(arms[0].folder / "artifacts", tmp_path / "copied"))


def test_compare_is_the_comparison_of_a_sweep(arms: tuple[Result, Result]) -> None:
    found = compare(*arms)
    multi, single = (run.requests.query("outcome == 'completed'") for run in arms)
    headline = found.differences["hit_rate/first_prefill"]
    assert headline.arm == multi.hit_blocks.sum() / multi.full_blocks.sum() == arms[0].metrics["hit_rate/first_prefill"]
    assert headline.baseline == single.hit_blocks.sum() / single.full_blocks.sum()
    assert found.comparison.num_conversations == multi.conversation_id.nunique() == 8
    assert found.verdict.startswith("multi_turn is higher than single_turn: +")
    assert found.verdict in str(found)


def test_compare_names_the_settings_that_differ(arms: tuple[Result, Result]) -> None:
    assert compare(*arms).parameters == {
        "trace._target_": ("cachelab.trace.multi_turn.MultiTurn", "cachelab.trace.single_turn.SingleTurn"),
        "order._target_": ("cachelab.order.by_conversation.ByConversation", "cachelab.order.all_at_once.AllAtOnce"),
    }


def test_compare_finds_runs_by_id_and_by_folder(arms: tuple[Result, Result], store: str) -> None:
    multi, single = arms
    expected = compare(multi, single).as_dict()
    assert compare(str(multi.run_id), str(single.run_id), tracking_uri=store).as_dict() == expected
    assert compare(str(multi.folder), single.folder / "artifacts").as_dict() == expected
    assert compare(str(multi.run_id), single.folder, tracking_uri=store).as_dict() == expected


def test_compare_reads_the_environments_store(
    arms: tuple[Result, Result], store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    assert compare(str(arms[0].run_id), str(arms[1].run_id)).verdict == compare(*arms).verdict


def test_compare_of_artifacts_alone_names_settings_that_both_have(arms: tuple[Result, Result], copied: Path) -> None:
    found = compare(copied, arms[1])
    assert found.verdict.startswith("copied is higher than single_turn")
    assert set(found.parameters) == {"trace._target_", "order._target_"}


def test_compare_of_two_runs_with_one_name(arms: tuple[Result, Result], folder: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        again = cachelab.run("experiment=multi_turn", *BASE)
    found = compare(arms[0], again)
    assert found.verdict.startswith("no difference shown between A: multi_turn and B: multi_turn")
    assert found.parameters == {}
    assert "No setting differs." in str(found)


def refused(error: type[CachelabError], *runs: Any, tracking_uri: str | None = None) -> str:
    with pytest.raises(error) as caught:
        compare(*runs, tracking_uri=tracking_uri)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_compare_refuses_one_run_twice(arms: tuple[Result, Result], store: str) -> None:
    multi = arms[0]
    for one, other in ((multi, multi.folder), (multi.folder / "artifacts", multi), (multi.folder, str(multi.run_id))):
        assert "are the same run" in refused(ConfigError, one, other, tracking_uri=store)


def test_compare_refuses_what_is_no_run(arms: tuple[Result, Result], store: str, tmp_path: Path) -> None:
    run = arms[0]
    assert "neither a folder nor a run of sqlite:///" in refused(TrackingError, run, "abc", tracking_uri=store)
    assert "there is no such folder" in refused(TrackingError, run, tmp_path / "nowhere")
    assert "holds no run" in refused(TrackingError, run, tmp_path)
    assert "holds several runs" in refused(TrackingError, run, run.folder.parent)


def test_compare_makes_no_store(arms: tuple[Result, Result], tmp_path: Path) -> None:
    line = refused(TrackingError, arms[0], "abc", tracking_uri=f"sqlite:///{tmp_path}/no.db")
    assert "there is no database" in line
    with sqlite3.connect(tmp_path / "foreign.db") as database:
        database.execute("create table mine (a)")
    database.close()
    line = refused(TrackingError, arms[0], "abc", tracking_uri=f"sqlite:///{tmp_path}/foreign.db")
    assert "this database is not MLflow's (its tables: mine)" in line
    assert [path.name for path in tmp_path.iterdir()] == ["foreign.db"]


def test_compare_refuses_a_run_without_its_requests(arms: tuple[Result, Result], copied: Path) -> None:
    (copied / "requests.parquet").write_bytes(b"PAR1")
    assert "not the requests of a run" in refused(TrackingError, copied, arms[1])
    (copied / "requests.parquet").unlink()
    assert "kept no requests.parquet" in refused(TrackingError, copied, arms[1])


def test_compare_refuses_a_run_that_failed(arms: tuple[Result, Result], tmp_path: Path) -> None:
    folder = shutil.copytree(arms[0].folder, tmp_path / "failed")
    record = json.loads((folder / "result.json").read_text())
    (folder / "result.json").write_text(json.dumps(record | {"status": "FAILED"}))
    assert "this run is FAILED" in refused(TrackingError, folder, arms[1])


def test_compare_refuses_runs_of_other_conversations(arms: tuple[Result, Result], folder: Path, tmp_path: Path) -> None:
    (tmp_path / "trace.jsonl").write_text('{"input_length": 600, "output_length": 1, "hash_ids": [1, 2]}\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        other = cachelab.run(
            "experiment=capacity", "dataset=block_trace", f"dataset.path={tmp_path}/trace.jsonl", "artifacts=[requests]"
        )
    assert "have no conversation in common" in refused(CachelabError, arms[0], other)


def test_compare_keeps_passwords_to_itself(arms: tuple[Result, Result], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CACHELAB_ADDRESSES", raising=False)
    password = "".join(reversed("terc3s"))  # a traceback shows the lines of this file
    with pytest.raises(TrackingError) as caught:
        compare(arms[0], "abc", tracking_uri=f"http://me:{password}@127.0.0.1:9")
    assert "me:***@" in str(caught.value)
    assert password not in "".join(traceback.format_exception(caught.value))
    assert "CACHELAB_ADDRESSES" not in os.environ


def test_compare_command_prints_tables_or_json(arms: tuple[Result, Result], capsys: pytest.CaptureFixture[str]) -> None:
    runs = [str(run.folder) for run in arms]
    compare_command(runs)
    shown = capsys.readouterr().out
    for word in ("Hit rates", "multi_turn against single_turn", "Settings that differ", "multi_turn is higher than"):
        assert word in shown
    compare_command([*runs, "--json"])
    found: RunComparison = compare(*arms)
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(found.as_dict()))


@pytest.mark.parametrize("arguments", [["one"], ["one", "two", "three"], ["--nope", "one", "two"]])
def test_compare_command_refuses_wrong_usage_in_one_line(arguments: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"^compare: .*: see python -m cachelab compare --help$"):
        compare_command(arguments)
