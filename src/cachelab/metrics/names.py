"""Checks the names of metrics that the settings hold."""

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

from cachelab.errors import ConfigError
from cachelab.metrics.base import AnyMetric, Series

COUNTED = ("dataset/", "filter/", "trace/")
"""Beginnings of the names of counts that exist only when the dataset has been read."""


def check_names(
    setting: str, names: Iterable[str], metrics: Sequence[AnyMetric], counts: Mapping[str, float] | None = None
) -> None:
    """Check that each name is one number of a run.

    `counts` are those of the dataset, the filter and the trace. While they are not known (None), every name that begins
    like one of them is accepted. Raises ConfigError for an unknown name, and for a series.
    """
    kinds = {metric.name: type(metric) for metric in metrics}
    for name in names:
        if kinds.get(name) is Series:
            steps = {"minute": "minute", "fleet": "replica"}.get(name.partition("/")[0], "turn")
            raise ConfigError(f"{setting}: {name} has one value per {steps}, not one per run: name another metric")
        if name in kinds or (name.startswith(COUNTED) if counts is None else name in counts):
            continue
        near = get_close_matches(name, [*kinds, *(counts or ())], 1)
        also = f" (did you mean {near[0]}?)" if near else ""
        raise ConfigError(f"{setting}: there is no metric {name}{also}: see docs/metrics.md")
