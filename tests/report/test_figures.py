import io
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cachelab.metrics.sample import WeightedSample
from cachelab.pipeline import Result
from cachelab.report.figures import FIGURES, draw
from cachelab.report.hit_rate_figures import hit_rate_by_minute
from cachelab.report.lengths_figure import prompt_lengths
from cachelab.report.reuse_figures import hits_per_block, reuse_gaps


def heights(axes: Axes) -> list[float]:
    return [bar.get_height() for bar in axes.patches if isinstance(bar, Rectangle)]


def drawn(result: Result, name: str) -> tuple[Figure, Sequence[Axes]]:
    figure = draw(result)[name]
    assert figure is not None
    return figure, figure.axes


def test_hit_rate_by_turn_data(result: Result) -> None:
    _, (rate, requests) = drawn(result, "hit_rate_by_turn")

    assert heights(rate) == pytest.approx([0.0, 75.0, 80.0])  # 0 / 2, 3 / 4, 4 / 5
    assert rate.lines[0].get_ydata() == pytest.approx([0.0, 75.0, 80.0])  # nothing was evicted
    assert heights(requests) == [1, 1, 1]
    assert rate.get_ylim()[0] == 0
    assert rate.get_ylabel() == "block hit rate (%)"
    assert rate.get_title() == "First-prefill hit rate by turn, 3 completed requests"


def test_hit_rate_by_minute_data(result: Result) -> None:
    assert draw(result)["hit_rate_by_minute"] is None  # the run is shorter than a minute
    columns = {"minute": [0, 2, 3], "requests": [3, 1, 2], "prompt_blocks": [4, 0, 4], "hit_blocks": [1, 0, 3]}
    figure = hit_rate_by_minute({name: np.asarray(values) for name, values in columns.items()}, "simulated")

    assert figure is not None
    rate, requests = figure.axes
    assert np.asarray(rate.lines[0].get_xydata()).tolist() == [[0, 25], [3, 75]]  # minute 2 has no full block
    assert np.asarray(rate.lines[1].get_xydata()).tolist() == [[0, 25], [3, 50]]
    assert requests.get_xlabel() == "minute of the simulated clock"
    assert rate.get_title() == "First-prefill hit rate over time, 6 completed requests"


def _sample(values: list[int], unit: float = 1) -> WeightedSample:
    return WeightedSample.of(np.asarray(values), np.ones(len(values), np.int64)).per(unit)


def test_reuse_gaps_data(result: Result) -> None:
    figure, (gap_s, gap_requests) = drawn(result, "reuse_gaps")

    assert sum(heights(gap_s)) == 3
    assert heights(gap_requests) == [3]  # each reuse comes with the very next request
    assert gap_s.get_xlabel() == "gap (simulated seconds)"
    assert gap_requests.get_xlabel() == "gap (requests)"
    assert "3 reuses" in figure.get_suptitle()


def test_reuse_gaps_wall_clock() -> None:
    figure = reuse_gaps(_sample([5], 10), _sample([1]), "wall")

    assert figure is not None
    assert figure.axes[0].get_xlabel() == "gap (seconds)"


def test_reuse_gaps_wide_span_counts_zeros() -> None:
    figure = reuse_gaps(_sample([0, 0, 1, 1000], 1000), _sample([0, 0, 1, 100]), "simulated")

    assert figure is not None
    left = figure.axes[0]
    assert left.get_xscale() == "log"
    assert left.get_xlabel() == "gap (simulated seconds), log scale"
    assert left.get_title() == "not shown: 2 gaps of 0 s"
    assert sum(heights(left)) == 2


def test_hits_per_block_data(result: Result) -> None:
    _, (axes,) = drawn(result, "hits_per_block")

    assert heights(axes) == [1, 3]  # one block hit once, three hit twice
    assert axes.get_title() == "Hits per block, 7 hits of 4 distinct blocks"


def test_hits_per_block_many_hits_as_points() -> None:
    figure = hits_per_block(np.array([1, 1, 1, 500]))

    assert figure is not None
    line = figure.axes[0].lines[0]
    assert np.asarray(line.get_xdata()).tolist() == [1, 500]
    assert np.asarray(line.get_ydata()).tolist() == [3, 1]


def test_prompt_lengths_data(result: Result) -> None:
    _, (requests, tokens) = drawn(result, "prompt_lengths")

    assert sum(heights(requests)) == 4
    assert sum(heights(tokens)) == 45  # 28 cached + 17 computed
    legend = requests.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["completed (3)", "rejected (1)"]


def test_prompt_lengths_long_tail_on_a_log_axis() -> None:
    table: dict[str, list[Any]] = {
        "prompt_tokens": [10, 12, 9000],
        "cached_tokens": [0, 0, 0],
        "outcome": ["completed"] * 3,
    }
    figure = prompt_lengths(table)

    assert figure is not None
    assert figure.axes[1].get_xscale() == "log"
    assert figure.axes[1].get_xlabel() == "prompt length (tokens), log scale"


def test_figures_without_data_are_none(all_rejected: Result) -> None:
    figures = draw(all_rejected)

    assert [name for name, figure in figures.items() if figure is None] == [
        "hit_rate_by_turn",
        "hit_rate_by_minute",
        "reuse_gaps",
        "hits_per_block",
        "ttft_by_cached_tokens",
        "capacity",
        "losses",
    ]


@pytest.mark.parametrize("name", [name for name in FIGURES if name != "hit_rate_by_minute"])  # it has one minute
def test_figure_as_png(result: Result, name: str) -> None:
    figure, axes = drawn(result, name)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    png = file.getvalue()

    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", png[16:24])
    assert (width, height) == tuple(round(inches * 110) for inches in figure.get_size_inches())
    assert len(png) < 80_000
    assert all(one.get_xlabel() or one.get_ylabel() for one in axes)
