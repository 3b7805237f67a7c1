"""What every part of a run has in common: it is a frozen dataclass that pydantic checks."""

from pydantic import ConfigDict

PART = ConfigDict(strict=True, extra="forbid", arbitrary_types_allowed=True)
"""The pydantic config of each class that a conf/ option names: no coercion, no unknown field."""
