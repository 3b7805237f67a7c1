from .agreement import AgreementEngine
from .base import Engine, EngineCounters, EngineRun, Progress
from .replay import ReplayEngine
from .sim import SimEngine
from .step_cost import StepCost

__all__ = [
    "AgreementEngine",
    "Engine",
    "EngineCounters",
    "EngineRun",
    "Progress",
    "ReplayEngine",
    "SimEngine",
    "StepCost",
]
