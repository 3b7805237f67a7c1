"""Figures of the reuse of blocks."""

import numpy as np

from cachelab.metrics.sample import WeightedSample
from cachelab.pipeline import Result
from cachelab.report.reuse_figures import hits_per_block, reuse_gaps
from drawn_figures import drawn, heights


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
