from .base import Trace, TraceRequests
from .multi_turn import MultiTurn
from .single_turn import SingleTurn

__all__ = [
    "MultiTurn",
    "SingleTurn",
    "Trace",
    "TraceRequests",
]
