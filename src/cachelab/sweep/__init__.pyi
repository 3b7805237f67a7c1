from .callback import SweepCallback
from .capacity_sweep_callback import CapacitySweepCallback
from .comparison import Arm, Comparison, Difference
from .console import print_sweep
from .description import SweepDescription, describe_sweep
from .optuna_sweeper import OptunaSweeper
from .study_report import StudyReport
from .sweep_job import SweepJob
from .sweep_report import SweepReport, report_sweep, write_sweep
from .sync import sync_folder
from .trial import Trial

__all__ = [
    "Arm",
    "CapacitySweepCallback",
    "Comparison",
    "Difference",
    "OptunaSweeper",
    "StudyReport",
    "SweepCallback",
    "SweepDescription",
    "SweepJob",
    "SweepReport",
    "Trial",
    "describe_sweep",
    "print_sweep",
    "report_sweep",
    "sync_folder",
    "write_sweep",
]
