from .artifacts import write_artifacts
from .console import print_job, print_summary
from .figures import FIGURES, draw
from .progress import progress_bar
from .section import Section

__all__ = [
    "FIGURES",
    "Section",
    "draw",
    "print_job",
    "print_summary",
    "progress_bar",
    "write_artifacts",
]
