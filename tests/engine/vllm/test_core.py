"""The one module that knows vLLM's interfaces."""

from importlib import metadata

import pytest

from cachelab.engine.vllm import core as vllm_core
from cachelab.errors import EngineError


def test_vllm_core_knows_the_installed_minor() -> None:
    # On another minor the executor and engine interfaces have moved: read core.py and recorded_executor.py again.
    assert vllm_core.vllm_version().startswith(f"{vllm_core.VLLM_MINOR}.")


def test_vllm_core_refuses_another_minor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: "0.99.1")
    with pytest.raises(EngineError, match=r"vLLM 0\.99\.1 is installed"):
        vllm_core.vllm_version()


def test_vllm_core_without_vllm_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    with pytest.raises(EngineError, match="pip install"):
        vllm_core.vllm_version()
