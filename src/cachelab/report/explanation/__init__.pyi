from .console import explanation_text, print_explained_run, print_explanation
from .files import write_report

__all__ = ["explanation_text", "print_explained_run", "print_explanation", "write_report"]
