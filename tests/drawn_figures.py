"""What a figure of a run shows: its axes, and the heights of its bars."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cachelab.pipeline import Result
from cachelab.report.figures import draw


def heights(axes: Axes) -> list[float]:
    return [bar.get_height() for bar in axes.patches if isinstance(bar, Rectangle)]


def drawn(result: Result, name: str) -> tuple[Figure, Sequence[Axes]]:
    figure = draw(result)[name]
    assert figure is not None
    return figure, figure.axes
