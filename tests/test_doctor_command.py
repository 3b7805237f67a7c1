import sqlite3
from pathlib import Path

import pytest

from cachelab import doctor_command as module
from cachelab.doctor_command import disk, doctor_command, findings, gpu, store, torch, vllm
from cachelab.engine.vllm import core
from cachelab.errors import ConfigError


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("CACHELAB_ADDRESSES", raising=False)
    return tmp_path


def test_doctor_has_a_line_for_each_check(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = doctor_command([])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == [
        "Python", "vLLM", "torch", "tokenizer", "tokenizer", "MLflow", "disk", "GPU", "threads",
    ]  # fmt: skip
    assert code == any(line.startswith("red") for line in lines)
    assert list(here.iterdir()) == []  # it makes no database


def test_doctor_has_no_arguments() -> None:
    with pytest.raises(ConfigError, match="doctor: now: this command has no arguments"):
        doctor_command(["now"])


def test_red_finding_is_exit_code_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(core, "installed_vllm", lambda: "0.31.2")
    assert doctor_command([]) == 1
    assert "red   vLLM        0.31.2, needed is 0.32.*: pip install 'cachelab[cpu]'" in capsys.readouterr().out


def test_missing_vllm_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "installed_vllm", lambda: None)
    assert vllm().state == "note"
    assert "engine=replay" in vllm().fix


def test_build_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_version", lambda name: "2.13.0+cpu")
    assert torch().found == "2.13.0+cpu"
    monkeypatch.setattr(module, "_version", lambda name: None)
    assert torch().state == "note"


def test_database_of_another_program_is_red(here: Path) -> None:
    with sqlite3.connect(here / "mlflow.db") as database:
        database.execute("create table songs (name text)")
    found = store()
    assert found.state == "red"
    assert "mlflow.db" in found.found


def test_server_that_is_away_is_red(monkeypatch: pytest.MonkeyPatch) -> None:
    password = "".join(reversed("terc3s"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:{password}@127.0.0.1:9")
    found = store()
    assert found.state == "red"
    assert "Connection refused" in found.found
    assert password not in found.found


def test_full_disk_is_red(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cachelab.disk.free_bytes", lambda folder: 1000)
    assert disk(here).state == "red"


def test_gpu_as_the_driver_lists_it(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = here / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA H100, 81559 MiB'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{here}:/usr/bin:/bin")
    assert gpu().found == "NVIDIA H100, 81559 MiB"
    program.write_text("#!/bin/sh\nexit 9\n")
    assert gpu().state == "note"
    program.unlink()
    monkeypatch.setenv("PATH", str(here))
    assert gpu().state == "note"


def test_findings_name_their_state() -> None:
    assert {finding.state for finding in findings()} <= {"ok", "note", "red"}
