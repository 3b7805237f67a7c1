from .base import Fleet, FleetRun, Placement
from .event import FleetEvent
from .least_loaded import LeastLoaded
from .prefix_approximate import PrefixApproximate
from .prefix_aware import PrefixAware
from .random_choice import RandomChoice
from .replicas import Replicas
from .round_robin import RoundRobin
from .router import Choose, Router, View
from .single import Single
from .sticky import Sticky

__all__ = [
    "Choose",
    "Fleet",
    "FleetEvent",
    "FleetRun",
    "LeastLoaded",
    "Placement",
    "PrefixApproximate",
    "PrefixAware",
    "RandomChoice",
    "Replicas",
    "RoundRobin",
    "Router",
    "Single",
    "Sticky",
    "View",
]
