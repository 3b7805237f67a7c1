"""Pages opened in a real browser, for tests that are skipped where there is no Chromium or no playwright."""

import importlib.util
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

needs_browser = pytest.mark.skipif(
    CHROMIUM is None or importlib.util.find_spec("playwright") is None, reason="there is no Chromium or no playwright"
)


@contextmanager
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opened(browser: Any, path: Path, width: int, scheme: str) -> Iterator[Any]:
    """The page as a person opens it; `said` collects the browser's messages, `asked` the addresses that it asks for."""
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.said, page.asked = [], []
    page.on("console", lambda message: page.said.append(message.text))
    page.on("pageerror", lambda error: page.said.append(str(error)))
    page.on("dialog", lambda dialog: page.said.append(dialog.message))
    page.on("request", lambda asked: page.asked.append(asked.url))
    page.goto(path.as_uri())
    yield page
    page.close()


def fits(page: Any) -> bool:
    """Whether the page is as wide as the window."""
    fit: bool = page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    return fit
