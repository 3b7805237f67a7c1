"""The figure of what a hit is worth: time to first token against cached tokens."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cachelab.report.axes import blank_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LEAST_R2 = 0.5  # below it, noise and queueing decide more than lengths do

Floats = npt.NDArray[np.float64]


def ttft_by_cached_tokens(table: Mapping[str, Sequence[Any]], clock: str) -> "Figure | None":
    """A point a completed request, coloured by prompt length; what the host tier gave counts as cached."""
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
    points = axes.scatter(cached, ttft_s, c=prompt, s=14, cmap="cividis_r", linewidths=0.3, edgecolors="#404040")
    figure.colorbar(points, ax=axes, label="prompt length (tokens)")
    axes.set_xlabel("cached prompt tokens at the first prefill")
    axes.set_ylabel(f"time to first token ({'simulated seconds' if clock == 'simulated' else 'seconds'})")
    axes.set_ylim(bottom=0)
    axes.set_title(
        f"Time to first token by cached tokens, {len(rows):,} completed requests\n{worth(prompt, cached, ttft_s)}"
    )
    return figure


def worth(prompt_tokens: Floats, cached_tokens: Floats, ttft_s: Floats) -> str:
    """Seconds that a thousand cached tokens save, from a least-squares fit of all three; "" where they cannot say."""
    terms = np.column_stack([np.ones_like(ttft_s), prompt_tokens, cached_tokens])
    spread = float(((ttft_s - ttft_s.mean()) ** 2).sum())
    if len(ttft_s) < 4 or spread == 0 or np.linalg.matrix_rank(terms) < 3:
        return ""
    weights = np.linalg.lstsq(terms, ttft_s, rcond=None)[0]
    explained = 1 - float(((ttft_s - terms @ weights) ** 2).sum()) / spread
    if explained < _LEAST_R2:
        return f"prompt and cached tokens do not explain it (R² {explained:.2f}): no worth of a hit to be read off"
    return (
        f"least squares: 1,000 cached tokens save {-1000 * weights[2]:.4g} s (R² {explained:.2f}; queueing counts too)"
    )
