"""The seconds that hits save."""

from typing import Any

import numpy as np
import pytest

from cachelab.report.ttft_figure import savings, ttft_by_cached_tokens

PROMPT = np.array([100.0, 200.0, 300.0, 300.0, 400.0])
CACHED = np.array([0.0, 64.0, 0.0, 256.0, 320.0])


def test_savings_of_an_exact_line() -> None:
    # 5 ms + 40 us a prompt token - 30 us a cached one: 1,000 cached tokens save 0.03 s
    ttft_s = 0.005 + 0.00004 * PROMPT - 0.00003 * CACHED
    assert savings(PROMPT, CACHED, ttft_s).startswith("least squares: 1,000 cached tokens save 0.03 s (R² 1.00")


def test_savings_are_omitted_where_the_data_do_not_determine_them() -> None:
    ttft_s = 0.005 + 0.00004 * PROMPT
    assert savings(PROMPT, np.zeros(5), ttft_s) == ""
    assert savings(PROMPT, PROMPT, ttft_s) == ""
    assert savings(PROMPT, CACHED, np.ones(5)) == ""
    assert savings(PROMPT[:3], CACHED[:3], ttft_s[:3]) == ""


def test_savings_of_noise_are_not_claimed() -> None:
    assert "fit too poor to estimate the savings per hit" in savings(
        PROMPT, CACHED, np.array([0.01, 0.002, 0.05, 0.03, 0.001])
    )


def test_ttft_figure_has_one_point_per_completed_request() -> None:
    table: dict[str, list[Any]] = {
        "outcome": ["completed", "rejected", "completed"],
        "prompt_tokens": [10, 20, 30],
        "cached_tokens": [0, 0, 16],
        "host_cached_tokens": [0, 0, 8],
        "ttft_s": [0.1, None, 0.05],
    }
    figure = ttft_by_cached_tokens(table, "simulated")
    assert figure is not None
    axes = figure.axes[0]
    assert np.asarray(axes.collections[0].get_offsets()).tolist() == [[0.0, 0.1], [24.0, 0.05]]
    assert "simulated seconds" in axes.get_ylabel()
    assert ttft_by_cached_tokens({name: values[1:2] for name, values in table.items()}, "wall") is None


def test_ttft_figure_of_many_requests_has_the_mean_of_each_cell() -> None:
    # 5,001 requests in two corners of the grid: 10 and 30 prompt tokens without a hit after 0.1 s, 400 with 320 hits
    # after 0.8 s. All other cells are blank.
    prompt = [10, 30] * 2_500 + [400]
    figure = ttft_by_cached_tokens(
        {
            "outcome": ["completed"] * 5_001,
            "prompt_tokens": prompt,
            "cached_tokens": [0] * 5_000 + [320],
            "host_cached_tokens": [0] * 5_001,
            "ttft_s": [0.1] * 5_000 + [0.8],
        },
        "wall",
    )
    assert figure is not None
    means = np.asarray(figure.axes[0].collections[0].get_array())
    assert means.shape == (80, 120)
    assert means[~np.isnan(means)].tolist() == [20.0, 400.0]
    assert (means[10, 0], means[79, 119]) == (20.0, 400.0)  # 0.1 of 0.8 s: the first cell above 10 of 80
    assert figure.axes[1].get_ylabel() == "mean prompt length (tokens)"


@pytest.mark.parametrize("clock", ["wall", "simulated"])
def test_ttft_title_lies_inside_the_figure(clock: str) -> None:
    requests = 12_031
    prompt = np.arange(1, requests + 1) * 10
    cached = prompt * (np.arange(requests) % 3) // 3
    figure = ttft_by_cached_tokens(
        {
            "outcome": ["completed"] * requests,
            "prompt_tokens": prompt.tolist(),
            "cached_tokens": cached.tolist(),
            "host_cached_tokens": [0] * requests,
            "ttft_s": (0.008 + 0.0000408912 * (prompt - cached)).tolist(),
        },
        clock,
    )
    assert figure is not None
    figure.draw_without_rendering()
    (title,) = figure.texts
    # A fit through simulated seconds would only show the cost model that made them.
    assert ("save 0.04089 s" in title.get_text()) == (clock == "wall")
    box = title.get_window_extent()
    assert (box.x0 > 0, box.x1 < figure.bbox.width) == (True, True)
