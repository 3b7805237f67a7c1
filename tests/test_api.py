"""The Python API: one run with the overrides of the command line, without a trace in the process."""

import json
import logging
import os
import signal
import subprocess
import sys
import traceback
from operator import attrgetter
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet
import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

import cachelab
from cachelab import CachelabError, ConfigError, DatasetError, Result, TrackingError

FAST = ("engine=replay", "artifacts=[requests,blocks,per_turn]")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("run"))
        return cachelab.run("experiment=multi_turn", *FAST)


def test_public_names_are_those_that_are_documented() -> None:
    assert set(cachelab.__all__) <= set(dir(cachelab))
    assert all(getattr(cachelab, name) is not None for name in cachelab.__all__)
    errors = {name for name in cachelab.__all__ if name.endswith("Error")}
    known: list[type[CachelabError]] = [CachelabError, *CachelabError.__subclasses__()]
    assert errors == {error.__name__ for error in known}
    with pytest.raises(AttributeError, match="nonsense"):
        attrgetter("nonsense")(cachelab)


def test_import_is_cheap() -> None:
    code = "import sys, cachelab; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"hydra", "omegaconf", "numpy", "pandas", "mlflow", "pydantic", "rich", "vllm", "torch", "numba"}
    assert not heavy & set(done.stdout.split())


def test_run_gives_the_numbers_of_the_command_line(result: Result) -> None:
    assert result.name == "multi_turn engine=replay artifacts=[requests,blocks,per_turn]"
    assert result.metrics["hit_rate/first_prefill"] == 2417 / 2842  # README.md
    assert result.series["turn/requests"] == {0: 27, 1: 27, 2: 14, 3: 6, 4: 4, 5: 2}
    assert "85.05 % (2,417 of 2,842 full prompt blocks)" in result.summary
    assert "85.05 %" in repr(result)
    written = json.loads((result.folder / "artifacts" / "metrics.json").read_text())
    assert written["values"] == dict(result.metrics)
    assert (result.run_id, result.untracked) == (None, None)


def test_run_gives_the_tables_of_its_files(result: Result) -> None:
    artifacts = result.folder / "artifacts"
    for name in ("requests", "blocks"):
        written = pyarrow.parquet.read_table(artifacts / f"{name}.parquet").to_pandas()
        pd.testing.assert_frame_equal(getattr(result, name), written)
    written = pd.read_csv(artifacts / "per_turn.csv")
    pd.testing.assert_frame_equal(result.per_turn, written)
    assert result.requests.hit_blocks.sum() == 2417
    assert result.requests is result.requests  # made once


def test_run_gives_the_curve_of_its_file() -> None:
    result = cachelab.run("experiment=capacity", "filter.max_conversations=10", "artifacts=[capacity]")
    pd.testing.assert_frame_equal(result.capacity, pd.read_csv(result.folder / "artifacts" / "capacity.csv"))
    assert 0 < result.capacity.gib.iloc[0] < 1


def test_run_draws_figures_when_asked(result: Result) -> None:
    assert not (result.folder / "artifacts" / "figures").exists()
    assert {"hit_rate_by_turn", "capacity", "losses"} <= set(result.figures)
    assert result.figures["capacity"].get_axes()


def state() -> dict[str, Any]:
    """What a library must not change in the process that uses it."""
    return {
        "handlers": [signal.getsignal(number) for number in SIGNALS],
        "hooks": (sys.stdout, sys.stderr, sys.excepthook, sys.unraisablehook),
        "logging": (logging.getLogger().handlers[:], logging.getLogger().level, logging.raiseExceptions),
        "vllm": logging.getLogger("vllm").handlers[:],
        "folder": os.getcwd(),
        "variables": {key: value for key, value in os.environ.items() if key.startswith(("CACHELAB", "HYDRA"))},
        "hydra": (HydraConfig.instance().cfg, GlobalHydra.instance().hydra),
    }


def test_run_leaves_no_trace_in_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CACHELAB_ADDRESSES", raising=False)
    GlobalHydra.instance().clear()
    before = state()
    one, other = (cachelab.run("experiment=simple", *FAST) for _ in range(2))
    assert one.folder != other.folder
    assert one.metrics == other.metrics
    assert state() == before


def test_run_works_inside_a_program_that_uses_hydra(tmp_path: Path) -> None:
    from hydra import compose, initialize_config_dir

    (tmp_path / "config.yaml").write_text("mine: 1\n")
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(tmp_path)):
        cachelab.run("experiment=simple", *FAST)
        assert compose("config").mine == 1


def test_run_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    cachelab.run("experiment=simple", *FAST)
    assert capfd.readouterr() == ("", "")


def test_run_writes_where_it_is_told(tmp_path: Path) -> None:
    result = cachelab.run("experiment=simple", *FAST, f"hydra.run.dir={tmp_path}/here")
    assert result.folder == tmp_path / "here"
    assert (tmp_path / "here" / "artifacts" / "requests.parquet").is_file()


def test_run_is_tracked_if_an_override_or_the_argument_asks_for_it(tmp_path: Path) -> None:
    from mlflow import MlflowClient

    store = f"sqlite:///{tmp_path}/mlflow.db"
    one = cachelab.run("experiment=simple", *FAST, f"tracking.uri={store}")
    other = cachelab.run("experiment=simple", *FAST, tracking="mlflow")  # mlflow.db in the working directory
    for result in (one, other):
        run = MlflowClient(store, store).get_run(str(result.run_id))
        assert run.info.status == "FINISHED"
        assert run.data.metrics["hit_rate/first_prefill"] == result.metrics["hit_rate/first_prefill"]
        assert run.info.run_name == result.name
        assert "tracking" not in result.name


def test_run_takes_options_of_another_folder(tmp_path: Path) -> None:
    (tmp_path / "conf" / "order").mkdir(parents=True)
    (tmp_path / "conf" / "order" / "mine.yaml").write_text(
        "# mine\n_target_: cachelab.order.sessions.Sessions\nnum_users: 2\n"
    )
    result = cachelab.run("experiment=simple", *FAST, "order=mine", config_dir=tmp_path / "conf")
    assert "num_users=2" in result.summary


def test_run_trusts_no_code_that_a_file_names(tmp_path: Path) -> None:
    (tmp_path / "conf" / "order").mkdir(parents=True)
    (tmp_path / "conf" / "order" / "mine.yaml").write_text("# mine\n_target_: os.system\n")
    (tmp_path / "conf" / "experiment").mkdir()
    (tmp_path / "conf" / "experiment" / "mine.yaml").write_text("# @package _global_\nplugins: [os]\n")
    with pytest.raises(ConfigError, match=r"order\._target_.*os is not a plugin"):
        cachelab.run("order=mine", config_dir=tmp_path / "conf")
    with pytest.raises(ConfigError, match="plugins: a config file may not decide"):
        cachelab.run("experiment=mine", config_dir=tmp_path / "conf")


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["order=backwards"], "order=backwards: there is no such option (there are: all_at_once"),
        (["nonsense=1"], "nonsense: there is no such setting"),
        (["experiment=server_gap", "engine.url=http://a"], "there is no such setting: did you mean engine.real.url?"),
        (["block_size=32"], "there is no such setting: did you mean engine.block_size?"),
        (["engine.block_size=many"], "engine.block_size: "),
        (
            ["fleet.num_replicas=2"],
            "fleet.num_replicas: there is no such setting with this option of fleet: set fleet=r",
        ),
        (["engine=sim", "engine/policy=arc"], "no such config group with this option of engine: set engine=replay"),
        (["price.fresh=3"], "price: there is no such setting: set price=gpu_hours or price=per_token"),
        (["fleet=replicas", "fleet.events={at_s:1}"], "fleet.events: it takes a list: write 'fleet.events=[...]'"),
        (["order=("], "order=("),
        (["dataset=trace"], "dataset.path: a value is needed"),
        (["engine.num_blocks=257,512"], "several values are a sweep"),
        (["--multirun"], "an option of the command line"),
        (["hydra.job.chdir=true"], "a setting of the command line"),
        (["sync=outputs"], "sync: cachelab.run starts a run"),
        (["order=null"], "this names no option"),
        (["filter.min_turns=50"], "filter: keeps none"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_run_refuses_a_wrong_override_in_one_line(overrides: list[str], words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        cachelab.run(*overrides)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "result.json"]


def test_run_refuses_tracking_given_twice() -> None:
    with pytest.raises(ConfigError, match="tracking: given twice"):
        cachelab.run("tracking=none", tracking="mlflow")


def test_run_refuses_a_folder_of_options_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match="config_dir: nowhere: there is no such folder"):
        cachelab.run(config_dir="nowhere")


def test_run_that_fails_is_a_cachelab_error(tmp_path: Path) -> None:
    (tmp_path / "empty.json").write_text("[]")
    with pytest.raises(DatasetError, match=r"empty\.json"):
        cachelab.run("dataset=sharegpt", f"dataset.path={tmp_path}/empty.json", "engine=replay")
    with pytest.raises(ConfigError, match=r"nowhere\.json: no such file"):
        cachelab.run("dataset=sharegpt", "dataset.path=nowhere.json", "engine=replay")


def test_run_keeps_passwords_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CACHELAB_ADDRESSES", raising=False)
    password = "".join(reversed("terc3s"))  # a traceback shows the lines of this file
    with pytest.raises(TrackingError) as caught:
        cachelab.run("experiment=simple", *FAST, f"tracking.uri=http://me:{password}@127.0.0.1:9")
    assert "me:***@" in str(caught.value)
    assert password not in "".join(traceback.format_exception(caught.value))
    assert "CACHELAB_ADDRESSES" not in os.environ
