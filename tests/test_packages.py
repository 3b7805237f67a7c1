"""The public names of the packages: declared once, in __init__.pyi, and found at run time."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import resolve_name

import pytest

import cachelab
from cachelab.errors import ConfigError
from cachelab.trust import refuse_untrusted_group

SOURCE = Path(cachelab.__file__).parent
STUBS = sorted(SOURCE.rglob("__init__.pyi"))


def package_of(stub: Path) -> str:
    return ".".join(["cachelab", *stub.parent.relative_to(SOURCE).parts])


def declared(stub: Path) -> dict[str, str]:
    """Public name -> the module that the stub imports it from."""
    return {
        alias.name: f"{package_of(stub)}.{node.module}"
        for node in ast.parse(stub.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


@pytest.mark.parametrize("stub", STUBS, ids=package_of)
def test_every_public_name_resolves_to_the_object_of_its_module(stub: Path) -> None:
    package = import_module(package_of(stub))
    names = declared(stub)
    assert names
    assert sorted(package.__all__) == sorted(names)
    assert set(names) <= set(dir(package))
    for name, module in names.items():
        assert getattr(package, name) is getattr(import_module(module), name)


@pytest.mark.parametrize("stub", STUBS, ids=package_of)
def test_stub_declares_what_it_imports(stub: Path) -> None:
    (listed,) = [
        ast.literal_eval(node.value)
        for node in ast.parse(stub.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign)
    ]
    assert sorted(listed) == sorted(declared(stub))


@pytest.mark.parametrize("stub", STUBS, ids=package_of)
def test_no_public_name_hides_a_module(stub: Path) -> None:
    assert not {path.stem for path in stub.parent.iterdir()} & set(declared(stub))


def test_packages_import_nothing_heavy() -> None:
    packages = ", ".join(map(package_of, STUBS))
    heavy = "{'vllm', 'torch', 'mlflow', 'optuna', 'matplotlib', 'pyarrow', 'numba', 'numpy'}"
    code = f"import sys, {packages}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("cachelab.engine.vllm.CpuEngine", "cachelab.engine.vllm.backends.CpuEngine"),
        ("cachelab.engine.vllm.CudaEngine", "cachelab.engine.vllm.backends.CudaEngine"),
        ("cachelab.engine.kv_model.KvModel", "cachelab.model.kv_model.KvModel"),
        ("cachelab.tracking.mlflow.MlflowTracking", "cachelab.tracking.mlflow.tracking.MlflowTracking"),
    ],
)
def test_targets_of_earlier_configs_are_the_same_parts(old: str, new: str) -> None:
    assert resolve_name(old) is resolve_name(new)
    assert refuse_untrusted_group("engine", {"_target_": old}, []) == [old]


def test_metrics_of_earlier_configs_are_the_same() -> None:
    assert resolve_name("cachelab.metrics.published.METRICS") is resolve_name(
        "cachelab.metrics.reference_results.METRICS"
    )


def test_name_that_a_package_lacks_is_refused() -> None:
    with pytest.raises(ConfigError, match="there is no such class"):
        refuse_untrusted_group("engine", {"_target_": "cachelab.engine.Nothing"}, [])
