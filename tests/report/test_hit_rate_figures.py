"""Figures of the hit rate by turn and over time."""

import numpy as np
import pytest

from cachelab.pipeline import Result
from cachelab.report.figures import draw
from cachelab.report.hit_rate_figures import hit_rate_by_minute
from drawn_figures import drawn, heights


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
