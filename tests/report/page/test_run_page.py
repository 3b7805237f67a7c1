"""report.html of a run: what it says, that it escapes texts and asks for nothing, and how it looks in a browser."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cachelab.metrics.base import AnyMetric
from cachelab.pipeline import Result
from cachelab.report.artifacts import write_artifacts
from cachelab.report.page import run_page
from cachelab.report.page.drawing import MOST_BYTES, drawings
from cachelab.report.page.run_page import Bar
from cachelab.tracking.description import RunDescription
from pages import chromium, fits, needs_browser, opened

HOSTILE = "<script>alert(1)</script>"


def written(result: Result, description: RunDescription, metrics: Sequence[AnyMetric]) -> str:
    folder = write_artifacts(result, description, metrics, "tokens")
    return (folder / "report.html").read_text(encoding="utf-8")


def test_page_has_the_numbers_of_the_run(
    result: Result, description: RunDescription, metrics: Sequence[AnyMetric]
) -> None:
    page = written(result, description, metrics)
    assert "first-prefill block hit rate 63.64 % (7 of 11 full prompt blocks)" in page
    assert "45 prompt tokens" in page
    assert "62.22 % (28)" in page  # reused, tests/report/test_largest_losses.py
    assert "35.56 % (16)" in page  # never seen
    assert "80.00 % of 5 blocks, 1 request<" in page  # the third turn
    assert description.command in page
    assert page.count("<svg") == 1  # the curve
    assert '<td class="words">order.num_users</td>' in page
    assert len(page) < 2_000_000


def test_texts_are_escaped(result: Result, description: RunDescription, metrics: Sequence[AnyMetric]) -> None:
    hostile = replace(description, run_name=HOSTILE, command=f"python -m cachelab {HOSTILE}")
    notes = (HOSTILE,)
    dataset = replace(result.workload.dataset, name=HOSTILE, source=HOSTILE, notes=notes)
    page = written(replace(result, workload=replace(result.workload, dataset=dataset)), hostile, metrics)
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 4


def test_page_of_a_run_in_which_nothing_completed(
    all_rejected: Result, description: RunDescription, metrics: Sequence[AnyMetric]
) -> None:
    page = written(all_rejected, description, metrics)
    assert "prompt tokens</h2>" not in page
    assert "0 of 1 requests completed" in page


def test_drawings_that_are_too_large_are_named(tmp_path: Path) -> None:
    (tmp_path / "small.svg").write_text("<?xml?><svg>a</svg>")
    (tmp_path / "large.svg").write_text("<svg>" + "x" * MOST_BYTES + "</svg>")
    found, too_large = drawings(tmp_path, {"small": "small one", "large": "large one", "absent": "no file"})
    assert [(drawing.svg, drawing.caption) for drawing in found] == [("<svg>a</svg>", "small one")]
    assert too_large == ["large"]


OUTSIDE = """[...document.querySelectorAll('.track i')].filter(text => {
    const box = text.getBoundingClientRect();
    return box.left < 0 || box.right > innerWidth;
}).map(text => text.textContent)"""
"""The numbers beside the bars that the window cuts, on the left too."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@needs_browser
@pytest.mark.slow
@pytest.mark.parametrize("width", [400, 1600])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_in_a_browser(
    result: Result,
    description: RunDescription,
    metrics: Sequence[AnyMetric],
    browser: Any,
    width: int,
    scheme: str,
) -> None:
    written(result, replace(description, run_name=f"{'long_name_' * 20}{HOSTILE}"), metrics)
    with opened(browser, description.output_dir / "artifacts" / "report.html", width, scheme) as page:
        assert page.said == []
        assert len(page.asked) == 1  # the file itself
        assert fits(page)
        assert page.evaluate(OUTSIDE) == []
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(22, 22, 22)"}[scheme]
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.getAttribute('role')") == "region"  # a table that can be scrolled


@needs_browser
@pytest.mark.slow
@pytest.mark.parametrize("width", [400, 800])
def test_numbers_of_bars_in_the_middle_are_whole(
    monkeypatch: pytest.MonkeyPatch, result: Result, description: RunDescription, browser: Any, width: int
) -> None:
    """The bar of 36.51 % from 29 % on, whose number began left of a window of 400 pixels."""
    bars = [Bar("eviction", "other", left, 36.51, "36.51 % (101,232,000)") for left in (0.0, 15.0, 29.0, 45.0, 63.49)]
    monkeypatch.setattr(run_page, "_waterfall", lambda result: bars)
    written(result, description, ())
    with opened(browser, description.output_dir / "artifacts" / "report.html", width, "light") as page:
        assert page.locator(".track i", has_text="101,232,000").count() == len(bars)
        assert page.evaluate(OUTSIDE) == []
