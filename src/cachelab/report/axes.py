"""The look of the figures: size, ticks, legend, colours."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axes._secondary_axes import SecondaryAxis
    from matplotlib.figure import Figure


# Okabe and Ito's palette, which colour-blind readers can distinguish, and a grey
BLUE, ORANGE, GREEN, RED, SKY, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7"
GREY = "#7F7F7F"


def blank_figure(height: float, width: float = 7.2) -> "Figure":
    """A figure of this size (inches) with its own canvas, without matplotlib's global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def legend_outside(axes: "Axes", size: int = 9) -> None:
    """Draw the legend to the right of the axes, where it covers no data. `size`: of its letters, in points."""
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=size)


def whole_ticks(axes: "Axes", axis: str) -> None:
    """Put ticks only at whole numbers; `axis` is x, y or both."""
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    for name in ("x", "y") if axis == "both" else (axis,):
        one = axes.xaxis if name == "x" else axes.yaxis
        one.set_major_locator(MaxNLocator(nbins=12 if name == "x" else 4, integer=True, min_n_ticks=1))
        one.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def plain_ticks(axes: "Axes | SecondaryAxis", axis: str, *, log: bool = True) -> None:
    """Write numbers as 1,000 and 0.01, not as powers of ten; `axis` is x or y."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    one = axes.xaxis if axis == "x" else axes.yaxis
    one.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    if log:
        one.set_minor_formatter(NullFormatter())
