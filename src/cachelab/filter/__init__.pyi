from .base import Filter, Filtered
from .thresholds import Thresholds

__all__ = [
    "Filter",
    "Filtered",
    "Thresholds",
]
