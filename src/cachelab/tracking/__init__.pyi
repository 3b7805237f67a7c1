from .base import FinishedRun, TrackedRun, Tracking
from .description import RunDescription, SweepMember, describe
from .job_record import JobRecord, records
from .none import NoTracking
from .offline import FallbackRun, sync_command
from .process import Process
from .secret_callback import SecretCallback

__all__ = [
    "FallbackRun",
    "FinishedRun",
    "JobRecord",
    "NoTracking",
    "Process",
    "RunDescription",
    "SecretCallback",
    "SweepMember",
    "TrackedRun",
    "Tracking",
    "describe",
    "records",
    "sync_command",
]
