"""What every test may use: hand-made requests, the repository and the shared data."""

from pathlib import Path

import pytest
from hypothesis import settings

# A first example may compile or load compiled loops: how long one takes says nothing.
settings.register_profile("cachelab", deadline=None)
settings.load_profile("cachelab")

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"


@pytest.fixture(scope="session")
def repository() -> Path:
    """The top of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def real_sharegpt() -> Path:
    """The 700 real conversations; skips where they are absent."""
    path = SHARED / "data" / "sharegpt_v3_sample_700.json"
    if not path.exists():
        pytest.skip("the shared data is not on this machine")
    return path


@pytest.fixture(scope="session")
def mooncake() -> Path:
    """Mooncake's conversation trace; skips where it is absent."""
    path = SHARED / "data" / "mooncake_conversation_trace.jsonl"
    if not path.exists():
        pytest.skip("the shared data is not on this machine")
    return path
