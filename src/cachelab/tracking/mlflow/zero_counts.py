"""The counts of a run that are 0: one tag names them, so that they are no rows among the run's metrics."""

from collections.abc import Mapping, Sequence

ZERO_COUNTS = "cachelab.zero_counts"
"""Tag of a run: the names of its counts that are 0, separated by blanks."""

_GROUPS = ("dataset/", "filter/", "trace/", "requests/", "blocks/", "breaks/")
_NO_COUNTS = ("_share", "_mean", "_max")
_MAX_LENGTH = 8000  # of a tag in MLflow


def zero_counts(values: Mapping[str, float]) -> Sequence[str]:
    """The names of the counts that are 0; [] if they do not fit into one tag."""
    found = [
        name
        for name, value in values.items()
        if value == 0 and name.startswith(_GROUPS) and not name.endswith(_NO_COUNTS)
    ]
    return found if len(" ".join(found)) <= _MAX_LENGTH else []


def with_zero_counts(metrics: Mapping[str, float], tags: Mapping[str, str]) -> dict[str, float]:
    """The metrics of a stored run together with its counts that are 0."""
    return {**dict.fromkeys(tags.get(ZERO_COUNTS, "").split(), 0.0), **metrics}
