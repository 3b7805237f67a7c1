"""explanation.html in a real browser. Skipped where there is no Chromium or no playwright."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cachelab.explanation import Explanation
from cachelab.report.explanation import write_report
from pages import chromium, fits, needs_browser, opened

pytestmark = [pytest.mark.slow, needs_browser]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture(params=[(1280, "light"), (1280, "dark"), (600, "light"), (400, "light")], ids=str)
def page(request: pytest.FixtureRequest, browser: Any, tmp_path: Path, explained: Explanation) -> Iterator[Any]:
    write_report(tmp_path, explained, "my <run>")
    width, scheme = request.param
    with opened(browser, tmp_path / "explanation.html", width, scheme) as page:
        yield page


def test_browser_shows_the_page_without_a_word(page: Any) -> None:
    assert page.said == []
    assert len(page.asked) == 1  # the file itself
    assert page.title() == "my <run>: why prefixes break"
    assert page.locator(".verdict").inner_text().startswith("hit rate 38.8 %; 2 causes cost")


def test_page_is_as_wide_as_the_window(page: Any) -> None:
    page.locator("details").nth(1).evaluate("chat => { chat.open = true }")
    assert fits(page)
    for cell in page.locator(".causes .numbers .words").all():
        assert cell.bounding_box()["width"] > 100  # words, not a column of letters


def test_break_shows_on_hover_and_for_the_keyboard(page: Any) -> None:
    first, second = page.locator("details[open] .bar").nth(0), page.locator("details[open] .bar").nth(1)
    box = second.locator(".box")
    assert not box.is_visible()
    second.hover()
    assert box.is_visible()
    assert "token 24 differs from the turn before" in box.inner_text()
    assert box.locator(".before mark").inner_text() == "10:32:07"
    assert box.locator(".after mark").inner_text() == "10:32:09"
    page.mouse.move(0, 0)
    assert not box.is_visible()
    first.focus()
    assert not box.is_visible()
    page.keyboard.press("Tab")
    assert box.is_visible()


def test_one_conversation_is_open_at_a_time(page: Any) -> None:
    chats = page.locator("details")
    chats.nth(1).locator("summary").click()
    assert chats.nth(1).locator(".bar").first.is_visible()
    assert not chats.nth(0).locator(".bar").first.is_visible()


def test_bars_have_the_lengths_of_their_prompts(page: Any) -> None:
    def width(place: int) -> float:
        parts = page.locator("details[open] .bar").nth(place).locator(":scope > b").all()
        return float(sum(part.bounding_box()["width"] for part in parts))

    assert width(0) / width(1) == pytest.approx(600 / 700, rel=0.01)


def test_text_of_a_prompt_runs_nothing(page: Any) -> None:
    page.locator("details").nth(1).locator("summary").click()
    bar = page.locator("details").nth(1).locator(".bar").nth(1)
    bar.hover()
    assert "<script>alert(1)</script>" in bar.locator(".box").inner_text()
    assert page.evaluate("document.scripts.length") == 0
    assert page.said == []
