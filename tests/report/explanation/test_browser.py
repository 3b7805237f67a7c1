"""explanation.html in a real browser. Skipped where there is no Chromium or no playwright."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cachelab.explanation import Explanation
from cachelab.report.explanation import write_report

api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(params=[(1280, "light"), (1280, "dark"), (600, "light")], ids=str)
def page(request: pytest.FixtureRequest, browser: Any, tmp_path: Path, explained: Explanation) -> Iterator[Any]:
    """The page as a person opens it; `said` collects the browser's messages, `asked` the addresses that it asks for."""
    write_report(tmp_path, explained, "my <run>")
    width, scheme = request.param
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.said, page.asked = [], []
    page.on("console", lambda message: page.said.append(message.text))
    page.on("pageerror", lambda error: page.said.append(str(error)))
    page.on("dialog", lambda dialog: page.said.append(dialog.message))
    page.on("request", lambda asked: page.asked.append(asked.url))
    page.goto((tmp_path / "explanation.html").as_uri())
    yield page
    page.close()


def test_browser_shows_the_page_without_a_word(page: Any) -> None:
    assert page.said == []
    assert len(page.asked) == 1  # the file itself
    assert page.title() == "my <run>: why prefixes break"
    assert page.locator(".verdict").inner_text().startswith("hit rate 38.8 %; 2 causes cost")


def test_page_is_as_wide_as_the_window(page: Any) -> None:
    page.locator("details").nth(1).evaluate("chat => { chat.open = true }")
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


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
