"""The rules of docs/architecture.md about imports, held against the source."""

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import cachelab

SOURCE = Path(cachelab.__file__).parent
LINT = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True, no_logo=True))"

SEE_A_CONFIG_NODE = {
    "api",
    "build",  # instantiates
    "cli",
    "composition",
    "job_context",
    "run_folder_callback",
    "secret",
    "sweep/callback",
    "sweep/capacity_sweep_callback",
    "sweep/description",
    "sweep/digest",
    "sweep/job_error",
    "sweep/optuna_sweeper",
    "sweep/shared_data",
    "tracking/secret_callback",
    "trust",
    "arguments",
}
"""Modules that may import Hydra or OmegaConf."""


def lint(folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run import-linter on the package below `folder`, with the contract that lies there."""
    return subprocess.run(
        [sys.executable, "-c", LINT], cwd=folder, env={"PYTHONPATH": str(folder)}, capture_output=True, text=True
    )


@pytest.fixture
def copied(tmp_path: Path, repository: Path) -> Path:
    """A copy of the package and its contract, to be changed."""
    shutil.copytree(SOURCE, tmp_path / "cachelab", ignore=shutil.ignore_patterns("__pycache__", "conf"))
    shutil.copy(repository / "pyproject.toml", tmp_path)
    return tmp_path


def test_imports_point_down(copied: Path) -> None:
    done = lint(copied)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 kept, 0 broken" in done.stdout


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("report/console.py", "from cachelab.sweep.sweep_report import SweepReport\n"),
        ("order/base.py", "def late() -> None:\n    from cachelab.engine.base import Engine\n"),
        ("dataset/base.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import cachelab.pipeline\n"),
    ],
)
def test_an_import_that_points_up_breaks_the_contract(copied: Path, module: str, line: str) -> None:
    with (copied / "cachelab" / module).open("a") as file:
        file.write(f"\n\n{line}")
    done = lint(copied)
    assert done.returncode == 1
    assert "0 kept, 1 broken" in done.stdout


def test_a_new_module_needs_its_place_in_the_order(copied: Path) -> None:
    (copied / "cachelab" / "another.py").touch()
    done = lint(copied)
    assert done.returncode == 1
    assert "another" in done.stdout


def importers(*packages: str) -> set[str]:
    """The modules, as paths without .py, that import one of the packages anywhere."""
    return {
        str(path.relative_to(SOURCE).with_suffix(""))
        for path in SOURCE.rglob("*.py")
        if any(name.split(".")[0] in packages for name in imported(path))
    }


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def below(*folders: str) -> set[str]:
    return {module for module in modules() if module.startswith(folders)}


def modules() -> set[str]:
    return {str(path.relative_to(SOURCE).with_suffix("")) for path in SOURCE.rglob("*.py")}


def test_config_nodes_are_seen_by_few_modules() -> None:
    assert importers("hydra", "omegaconf") <= SEE_A_CONFIG_NODE


def test_numba_is_imported_where_loops_are_compiled() -> None:
    assert importers("numba") == {"prefix_cache/kernels/kernel", "dataset/row_lexer", "export/id_text"}


def test_vllm_is_imported_by_its_adapter() -> None:
    # Three modules name types of vLLM, and import nothing of it at run time.
    assert importers("vllm") <= below("engine/vllm/") | {"engine/sim", "engine/sim_core", "fleet/sim_fleet"}


def test_mlflow_is_imported_by_its_store() -> None:
    # Two modules of sweep/ name the type of MLflow's runs.
    assert importers("mlflow") <= below("tracking/mlflow/") | {"sweep/parent_run", "sweep/stored_run"}


def test_objects_are_made_from_dotted_paths_in_one_place() -> None:
    makers = {"hydra.utils.instantiate", "hydra.utils.get_object", "hydra.utils.get_class", "hydra.utils.get_method"}
    makers |= {"pkgutil.resolve_name", "importlib.import_module", "hydra.utils.call"}
    found = {
        str(path.relative_to(SOURCE).with_suffix("")) for path in SOURCE.rglob("*.py") if makers & set(imported(path))
    }
    # The sweeper makes Optuna's samplers; trust.py checks a class before build.py makes it. The package itself imports
    # its own public names.
    assert found - {"__init__"} == {"build", "sweep/optuna_sweeper", "trust"}
