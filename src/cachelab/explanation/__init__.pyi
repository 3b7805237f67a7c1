from .break_class import CLASSES, BreakClass
from .result import Cause, ExplainedRequest, Explanation, Group
from .prompt_break import Break, Place

__all__ = ["CLASSES", "Break", "BreakClass", "Cause", "ExplainedRequest", "Explanation", "Group", "Place"]
