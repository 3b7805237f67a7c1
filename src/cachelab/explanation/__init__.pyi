from .break_class import CLASSES, BreakClass
from .calls import explain
from .explainer import Explainer
from .prompt_break import Break, Place
from .result import Cause, ExplainedRequest, Explanation, Group

__all__ = [
    "CLASSES",
    "Break",
    "BreakClass",
    "Cause",
    "ExplainedRequest",
    "Explainer",
    "Explanation",
    "Group",
    "Place",
    "explain",
]
