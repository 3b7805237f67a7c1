from .base import AnyMetric, Metric, Numbers, Series, measure
from .hits import Hits
from .losses import Losses
from .observation import Observation

__all__ = [
    "AnyMetric",
    "Hits",
    "Losses",
    "Metric",
    "Numbers",
    "Observation",
    "Series",
    "measure",
]
