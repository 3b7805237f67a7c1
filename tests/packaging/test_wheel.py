"""A wheel holds everything that a run needs: it is built, installed elsewhere and used outside the repository."""

import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
import yaml


def python(*arguments: str | Path, cwd: Path, path: Path | None = None) -> str:
    """What this Python printed, run in `cwd` with nothing but `path` before its own packages."""
    env = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "HYDRA_FULL_ERROR")}
    if path is not None:
        env["PYTHONPATH"] = str(path)
    done = subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling", reason="the build backend comes with the dev extra")
    folder = tmp_path_factory.mktemp("wheel")
    options = ("--quiet", "--no-deps", "--no-build-isolation", "--no-index")
    python("-m", "pip", "wheel", *options, "--wheel-dir", folder, repository, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the installed wheel and nothing of the repository."""
    folder = tmp_path_factory.mktemp("installed")
    options = ("--quiet", "--no-deps", "--no-index")
    python("-m", "pip", "install", *options, "--target", folder, wheel, cwd=folder)
    return folder


def sources(top: Path) -> set[str]:
    """The files under a folder, relative to it, without what Python leaves behind."""
    files = (path for path in top.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(top).as_posix() for path in files}


def test_wheel_holds_every_file_of_package_and_conf(wheel: Path, repository: Path) -> None:
    with ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    package = {f"cachelab/{name}" for name in sources(repository / "src" / "cachelab")}
    conf = {f"cachelab/conf/{name}" for name in sources(repository / "conf")}
    assert {"cachelab/py.typed", "cachelab/conf/config.yaml"} <= package | conf
    assert packed == package | conf


def test_wheel_installed_elsewhere_composes_the_demo(installed: Path, tmp_path: Path) -> None:
    imported = python("-c", "import cachelab; print(cachelab.__file__)", cwd=tmp_path, path=installed)
    assert Path(imported.strip()).is_relative_to(installed)

    composed = python("-m", "cachelab", "experiment=multi_turn", "--cfg", "job", cwd=tmp_path, path=installed)
    config = yaml.safe_load(composed)
    assert config["dataset"]["_target_"].startswith("cachelab.dataset.auto.")  # the default, from config.yaml
    assert config["trace"]["_target_"].startswith("cachelab.trace.multi_turn.")
    assert config["engine"]["_target_"].startswith("cachelab.engine.sim.")
    assert config["engine"]["block_size"] == 8  # the experiment's, not the engine's own default
    assert config["filter"]["max_prompt_tokens"] == 800  # filter=guide, which the experiment chose
    assert list(tmp_path.iterdir()) == []  # showing a config leaves nothing behind


def test_wheel_installed_elsewhere_lists_its_options(installed: Path, tmp_path: Path) -> None:
    shown = python("-m", "cachelab", cwd=tmp_path, path=installed)
    assert "multi_turn" in shown
    assert "sharegpt" in shown
