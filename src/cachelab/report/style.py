"""The look of all figures: size, colours, ticks, names, legend, files."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axes._secondary_axes import SecondaryAxis
    from matplotlib.figure import Figure


# Okabe and Ito's palette, which colour-blind readers can distinguish, and a grey
BLUE, ORANGE, GREEN, RED, SKY, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7"
YELLOW, GREY = "#F0E442", "#7F7F7F"
COLOURS = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, YELLOW, GREY)
"""The colours of curves and bars in one figure, in this order."""

_MANY_POINTS = 500  # an SVG file with more would be larger than its PNG file
_FEW_BARS = 4
_LONG = 34  # characters of a name


def blank_figure(height: float, width: float = 7.2) -> "Figure":
    """A figure of this size (inches) with its own canvas, without matplotlib's global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: "Figure", folder: Path, name: str, *, png: bool = True) -> None:
    """Write `<name>.svg` and, with `png`, `<name>.png` into the folder; the same figure gives the same bytes."""
    from matplotlib import rc_context

    if (layout := figure.get_layout_engine()) is not None:
        layout.execute(figure)
        figure.set_layout_engine(None)  # else each file is drawn twice, once to find the places again
    if png:
        figure.savefig(folder / f"{name}.png", metadata={"Software": None})
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "cachelab"}):  # text stays text
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})


def many(points: int) -> bool:
    """Whether so many points are drawn as pixels in an SVG file (`rasterized`)."""
    return points > _MANY_POINTS


def short(name: str, most: int = _LONG) -> str:
    """A name in at most `most` characters; the middle of a longer one is left out."""
    if len(name) <= most:
        return name
    end = (most - 3) // 2
    return f"{name[: most - 3 - end]}...{name[-end:]}"


def legend_outside(axes: "Axes", size: int = 9) -> None:
    """Draw the legend to the right of the axes, where it covers no data. `size`: of its letters, in points."""
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=size)


def whole_ticks(axes: "Axes", axis: str) -> None:
    """Put ticks only at whole numbers; `axis` is x, y or both."""
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    for name in ("x", "y") if axis == "both" else (axis,):
        one = axes.xaxis if name == "x" else axes.yaxis
        one.set_major_locator(MaxNLocator(nbins=8 if name == "x" else 4, integer=True, min_n_ticks=1))
        one.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def bar_ticks(axes: "Axes", places: Sequence[int]) -> None:
    """Put x ticks at whole numbers that have a bar. A few bars get the width that four of them would have."""
    first, last = min(places), max(places)
    if last - first >= _FEW_BARS:
        return whole_ticks(axes, "x")
    half = max((last - first) / 2 + 0.6, _FEW_BARS / 2)
    axes.set_xlim((first + last) / 2 - half, (first + last) / 2 + half)
    axes.set_xticks(sorted(set(places)), [f"{place:,}" for place in sorted(set(places))])


def few_ticks(axes: "Axes", most: int = 4) -> None:
    """Put at most `most` + 1 ticks on the x axis, for narrow axes and long numbers."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=most))
    plain_ticks(axes, "x")


def view_at_least(axes: "Axes", axis: str, least: float) -> None:
    """Widen the view of equal or nearly equal values to `least`; `axis` is x or y."""
    low, high = axes.get_xlim() if axis == "x" else axes.get_ylim()
    if high - low < least:
        middle = (low + high) / 2
        (axes.set_xlim if axis == "x" else axes.set_ylim)(middle - least / 2, middle + least / 2)


def log_ticks(axes: "Axes | SecondaryAxis", axis: str, low: float, high: float, most: int = 6) -> None:
    """Put at most `most` ticks with plain numbers on a log axis that shows `low` to `high`; `axis` is x or y.

    They are at powers of ten, at 1 and 3 or 1, 2 and 5 times these, or at round numbers: the first that gives three.
    """
    from matplotlib.ticker import FixedLocator, MaxNLocator, NullFormatter

    one = axes.xaxis if axis == "x" else axes.yaxis
    decades = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    candidates = [
        decades,
        np.outer(decades, (1, 3)).ravel(),
        np.outer(decades, (1, 2, 5)).ravel(),
        np.asarray(MaxNLocator(nbins=most - 1).tick_values(low, high)),
    ]
    shown = [ticks[(ticks >= low) & (ticks <= high)] for ticks in candidates]
    ticks = next((ticks for ticks in shown if len(ticks) > 2), max(shown, key=len))
    ticks = ticks[:: -(-len(ticks) // most)] if len(ticks) else np.asarray([low])
    one.set_major_locator(FixedLocator([float(tick) for tick in ticks]))
    one.set_minor_formatter(NullFormatter())
    plain_ticks(axes, axis)


def plain_ticks(axes: "Axes | SecondaryAxis", axis: str) -> None:
    """Write numbers as 1,000 and 0.01, not as powers of ten; `axis` is x or y."""
    from matplotlib.ticker import FuncFormatter

    one = axes.xaxis if axis == "x" else axes.yaxis
    one.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
