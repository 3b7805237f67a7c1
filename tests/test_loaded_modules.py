"""What a command imports: a heavy package that it does not use is a second that its user waits for."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    "vllm", "torch", "transformers", "pandas", "scipy", "matplotlib", "datasets", "numba", "mlflow", "optuna",
    "sklearn", "ray", "mistral_common",
}  # fmt: skip

SCRIPT = """
import json, os, sys
from pathlib import Path
sys.argv = ["cachelab", *sys.argv[1:]]
from cachelab.cli import main
try:
    main()
finally:
    Path("loaded.json").write_text(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""

RUN = ("experiment=simple", "engine=replay", "hydra.run.dir=run")


def loaded(folder: Path, *arguments: str) -> set[str]:
    """The heavy packages that a command has loaded when it ends."""
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments], cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert ran.returncode == 0, ran.stderr
    return set(json.loads((folder / "loaded.json").read_text())) & HEAVY


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory; the tokens of the sample are cached, and there is a tracking database."""
    folder = tmp_path_factory.mktemp("loaded")
    assert "mistral_common" in loaded(folder, *RUN, f"cache_dir={folder}/tokens")
    return folder


@pytest.mark.parametrize("arguments", [(), ("--help",), ("--version",), (*RUN, "--cfg", "job")])
def test_commands_that_show_something_load_nothing_heavy(arguments: tuple[str, ...], tmp_path: Path) -> None:
    assert loaded(tmp_path, *arguments) == set()


def test_a_small_replay_loads_what_draws(folder: Path) -> None:
    assert loaded(folder, *RUN, f"cache_dir={folder}/tokens", "tracking=none") == {"matplotlib"}


def test_a_replay_loads_what_computes(folder: Path) -> None:
    expected = {"numba", "matplotlib", "scipy"}  # numba loads scipy.linalg
    run = ("experiment=multi_turn", "engine=replay", "hydra.run.dir=run", "tracking=none")
    assert loaded(folder, *run, f"cache_dir={folder}/tokens") - {"mistral_common"} == expected


def test_replay_without_figures_loads_no_matplotlib(folder: Path) -> None:
    assert not loaded(folder, *RUN, f"cache_dir={folder}/tokens", "tracking=none", "artifacts=[requests]")


def test_tracking_adds_mlflow_and_what_it_needs(folder: Path) -> None:
    found = loaded(folder, *RUN, f"cache_dir={folder}/tokens")
    assert found >= {"mlflow", "matplotlib"}
    assert found <= {"mlflow", "matplotlib", "pandas", "scipy"}  # MLflow loads the last two


@pytest.mark.slow
def test_sim_adds_vllm_and_what_it_needs(folder: Path) -> None:
    pytest.importorskip("vllm")
    found = loaded(folder, "experiment=simple", "hydra.run.dir=run", f"cache_dir={folder}/tokens", "tracking=none")
    assert found >= {"vllm", "torch", "matplotlib"}
    assert not found & {"mlflow", "optuna", "datasets"}  # vLLM loads Ray where it is installed, and may load the others
