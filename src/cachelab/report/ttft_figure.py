"""The figure of the time to first token by cached tokens: the seconds that hits save."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cachelab.report.style import blank_figure, many, whole_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

_MOST_POINTS = 5_000  # more take longer to draw than the other figures together, and hide one another
_CELLS = (120, 80)
_COLOURS = "cividis_r"
_LEAST_R2 = 0.5  # below it, noise and queueing matter more than the numbers of tokens

Floats = npt.NDArray[np.float64]


def ttft_by_cached_tokens(table: Mapping[str, Sequence[Any]], clock: str) -> "Figure | None":
    """One point per completed request, coloured by prompt length. Tokens from the host tier count as cached.

    Above 5,000 requests, cells of equal size with the mean prompt length of their requests.
    """
    rows = [row for row, outcome in enumerate(table["outcome"]) if outcome == "completed"]
    if not rows:
        return None
    prompt, local, host, ttft_s = (
        np.asarray([table[name][row] for row in rows], dtype=np.float64)
        for name in ("prompt_tokens", "cached_tokens", "host_cached_tokens", "ttft_s")
    )
    cached = local + host
    figure = blank_figure(4.0)
    axes = figure.subplots()
    if len(rows) > _MOST_POINTS:
        points, label = _mean_by_cell(axes, cached, ttft_s, prompt), "mean prompt length (tokens)"
    else:
        points = axes.scatter(
            cached,
            ttft_s,
            c=prompt,
            s=14,
            cmap=_COLOURS,
            linewidths=0.3,
            edgecolors="#404040",
            rasterized=many(len(rows)),
        )
        label = "prompt length (tokens)"
    figure.colorbar(points, ax=axes, label=label, format="{x:,.0f}")
    axes.set_xlim(-0.03 * max(1.0, cached.max()), 1.05 * max(1.0, cached.max()))
    whole_ticks(axes, "x")
    axes.set_xlabel("cached prompt tokens at the first prefill")
    axes.set_ylabel(f"time to first token ({'simulated seconds' if clock == 'simulated' else 'seconds'})")
    axes.set_ylim(0, 1.08 * ttft_s.max() or 1)
    # A line through simulated seconds only gives back the cost model that made them.
    fit = "" if clock == "simulated" else savings(prompt, cached, ttft_s)
    figure.suptitle(
        f"Time to first token by cached tokens, {len(rows):,} completed requests\n{fit}",
        fontsize=11,  # centred on the figure: the axes are too narrow for the second line
    )
    return figure


def _mean_by_cell(axes: "Axes", x: Floats, y: Floats, values: Floats) -> "ScalarMappable":
    """Draw the mean of the values in each cell of a grid from 0 to the largest x and y; a cell without any is blank."""
    edges = [np.linspace(0, one.max() or 1, number + 1) for one, number in zip((x, y), _CELLS, strict=True)]
    counts = np.histogram2d(x, y, bins=edges)[0]
    sums = np.histogram2d(x, y, bins=edges, weights=values)[0]
    means = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    return axes.pcolormesh(*edges, means.T, cmap=_COLOURS, rasterized=True)


def savings(prompt_tokens: Floats, cached_tokens: Floats, ttft_s: Floats) -> str:
    """The seconds that 1,000 cached tokens save, as text, from a least-squares fit; "" if it is not determined.

    Shape of each argument: (num_completed,).
    """
    terms = np.column_stack([np.ones_like(ttft_s), prompt_tokens, cached_tokens])
    spread = float(((ttft_s - ttft_s.mean()) ** 2).sum())
    if len(ttft_s) < 4 or spread == 0 or np.linalg.matrix_rank(terms) < 3:
        return ""
    weights = np.linalg.lstsq(terms, ttft_s, rcond=None)[0]
    explained = 1 - float(((ttft_s - terms @ weights) ** 2).sum()) / spread
    if explained < _LEAST_R2:
        return f"fit too poor to estimate the savings per hit (R² {explained:.2f})"
    saved_s = -1000 * weights[2]
    return f"least squares: 1,000 cached tokens save {saved_s:.4g} s (R² {explained:.2f}; includes queueing)"
