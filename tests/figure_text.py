"""What is wrong with the text of a drawn figure: text beyond the figure's edge, labels on top of each other."""

from collections.abc import Iterator
from itertools import combinations
from typing import Any

from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text

_GAP = 2.0  # pixels between two labels on one line
_SLACK = 1.0  # pixels; a box is as high as its font, its letters are not


def faults(figure: Figure) -> list[str]:
    """One line for each clipped text and for each pair of labels that overlap; [] if the figure can be read."""
    figure.draw_without_rendering()
    renderer: Any = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in shown(figure)]
    page = figure.bbox
    found = [
        f"clipped: {text!r} {box.x0:.0f},{box.y0:.0f} to {box.x1:.0f},{box.y1:.0f}"
        for text, box in boxes
        if box.x0 < -_SLACK or box.y0 < -_SLACK or box.x1 > page.width + _SLACK or box.y1 > page.height + _SLACK
    ]
    for (text, box), (other, beyond) in combinations(boxes, 2):
        wide = min(box.x1, beyond.x1) - max(box.x0, beyond.x0)
        high = min(box.y1, beyond.y1) - max(box.y0, beyond.y0)
        if wide > -_GAP and high > _SLACK:
            found.append(f"overlap: {text!r} and {other!r}, {wide:.0f} by {high:.0f} pixels")
    return found


def shown(figure: Figure) -> Iterator[Text]:
    """Every text that is drawn."""
    texts = list(figure.texts)  # with the title of the whole figure
    for axes in figure.axes:
        texts += [axes.title, *axes.texts]
        texts += [text for legend in [axes.get_legend()] if legend is not None for text in legend.get_texts()]
        for one in [axes, *axes.child_axes]:
            texts += [text for axis in axes_of(one) for text in labels(axis)]
    unique = {id(text): text for text in texts if text.get_visible() and text.get_text().strip()}
    yield from unique.values()


def axes_of(axes: Any) -> list[Axis]:
    """The axes of a plot, or the one of a secondary scale."""
    return [axis for axis in (axes.xaxis, axes.yaxis) if axis.get_visible()]


def labels(axis: Axis) -> Iterator[Text]:
    """The label of an axis, its offset, and the labels of the ticks in view."""
    yield axis.label
    yield axis.offsetText
    low, high = sorted(axis.get_view_interval())
    for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
        if low - 1e-9 * abs(low) <= tick.get_loc() <= high + 1e-9 * abs(high):
            yield from (label for label in (tick.label1, tick.label2) if label.get_visible())
