"""All figures of a run."""

import io
import struct

import pytest

from cachelab.pipeline import Result
from cachelab.report.figures import FIGURES, draw
from drawn_figures import drawn


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
