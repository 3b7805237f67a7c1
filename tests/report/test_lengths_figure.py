"""The figure of prompt lengths."""

from typing import Any

from cachelab.pipeline import Result
from cachelab.report.lengths_figure import prompt_lengths
from drawn_figures import drawn, heights


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
