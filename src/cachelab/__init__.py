"""How much of your prompts vLLM's prefix cache can reuse, and what limits it.

    import cachelab

    result = cachelab.run("experiment=multi_turn", "engine=replay")
    result.metrics["hit_rate/first_prefill"]

`run` does what the command line does, with the same overrides; `compare` compares two runs that are done.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from cachelab.errors import (
    CachelabError,
    ConfigError,
    DatasetError,
    EngineError,
    StorageError,
    TokenizerError,
    TrackingError,
)

if TYPE_CHECKING:
    from cachelab.api import run
    from cachelab.result import Result
    from cachelab.sweep.run_comparison import RunComparison, compare

__version__ = "0.1.0"

__all__ = [
    "CachelabError",
    "ConfigError",
    "DatasetError",
    "EngineError",
    "Result",
    "RunComparison",
    "StorageError",
    "TokenizerError",
    "TrackingError",
    "__version__",
    "compare",
    "run",
]

_LAZY = {
    "Result": "cachelab.result",
    "RunComparison": "cachelab.sweep.run_comparison",
    "compare": "cachelab.sweep.run_comparison",
    "run": "cachelab.api",
}
"""Public names and their modules, which are imported at first use: `import cachelab` takes milliseconds."""


def __getattr__(name: str) -> Any:
    """The public name, from its module."""
    if name not in _LAZY:
        raise AttributeError(f"module 'cachelab' has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
