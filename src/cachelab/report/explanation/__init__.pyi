from .console import explanation_text, print_explanation
from .files import write_explanation

__all__ = ["explanation_text", "print_explanation", "write_explanation"]
