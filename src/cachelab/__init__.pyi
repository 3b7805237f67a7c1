from .api import run
from .errors import (
    CachelabError,
    ConfigError,
    DatasetError,
    EngineError,
    StorageError,
    TokenizerError,
    TrackingError,
)
from .explanation.calls import explain
from .result import RequirementError, Result
from .sweep.run_comparison import RunComparison, compare

__version__: str

__all__ = [
    "CachelabError",
    "ConfigError",
    "DatasetError",
    "EngineError",
    "RequirementError",
    "Result",
    "RunComparison",
    "StorageError",
    "TokenizerError",
    "TrackingError",
    "compare",
    "explain",
    "run",
]
