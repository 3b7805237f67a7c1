from .run import MlflowRun
from .store import MlflowStore
from .tracking import MlflowTracking

__all__ = [
    "MlflowRun",
    "MlflowStore",
    "MlflowTracking",
]
