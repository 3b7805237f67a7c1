"""explanation.md and explanation.html: complete, escaped, self-contained."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from cachelab.explanation import Explanation
from cachelab.report.explanation import write_report
from cachelab.report.explanation.conversation_bars import conversation_bars
from cachelab.report.explanation.sections import tokens_section


class Page(HTMLParser):
    """Collects the tags, the attributes and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def page(tmp_path: Path, explained: Explanation) -> Page:
    write_report(tmp_path, explained, "my <run>")
    return Page((tmp_path / "explanation.html").read_text(encoding="utf-8"))


def test_page_loads_nothing_and_runs_nothing(page: Page) -> None:
    assert not {"script", "iframe", "img", "link", "object", "embed", "form"} & set(page.tags)
    names = {name for name, _ in page.attributes}
    assert not {"src", "href", "action", "srcset", "data"} & names
    assert not [name for name in names if name.startswith("on")]
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes


def test_page_escapes_the_texts_of_prompts(page: Page) -> None:
    assert "<script>alert(1)</script>" in page.text
    assert "\\x1b[31m`| ``` \\u202e</code>" in page.text
    assert "my <run>: why prefixes break" in page.text
    assert page.tags.count("details") == 2  # the texts close and open none


def test_page_has_verdict_waterfall_causes_and_groups(page: Page) -> None:
    assert "hit rate 38.8 %; 2 causes cost 41.7 points: without them 80.5 %" in page.text
    for share in (
        "3.16 % (48)",
        "0.79 % (12)",
        "0.26 % (4)",
        "36.84 % (560)",
        "58.95 % (896)",
    ):  # of 1,520 prompt tokens
        assert share in page.text
    assert "1,520 prompt tokens" in page.text
    assert "+41.70" in page.text
    assert "Causes 1 to 2 undone: hit rate " in page.text
    assert "Requests by the first token that differs" in page.text
    assert "A note <of> the run." in page.text


def test_page_has_a_bar_for_each_prompt_and_its_break_in_a_box(page: Page) -> None:
    assert page.attributes.count(("class", "bar")) == 4
    title = "date or time, system message: token 24 differs from the turn before; 500 tokens behind it"
    assert title in page.text
    assert "token 40 differs from a request of another conversation" in page.text
    assert "16 reused, 8 lost to the cache, 500 behind a break, 176 new" in page.text


def test_bars_add_up_and_start_with_the_worst_conversation(explained: Explanation) -> None:
    (first, second), left_out = conversation_bars(explained)
    assert (first.id, second.id, left_out) == ("a", "b", 0)
    longest = max(bar.prompt_tokens for bar in first.bars)
    for bar in first.bars:
        assert sum(bar.tokens.values()) == bar.prompt_tokens
        assert sum(bar.percents.values()) == pytest.approx(100 * bar.prompt_tokens / longest)
    assert first.bars[1].break_percent == pytest.approx(100 * 24 / 700)
    assert first.bars[0].break_percent is None


def test_markdown_has_every_part(tmp_path: Path, explained: Explanation) -> None:
    write_report(tmp_path, explained, "my <run>")
    text = (tmp_path / "explanation.md").read_text(encoding="utf-8")
    assert text.startswith("# my &lt;run>\n\n**hit rate 38.8 %; 2 causes cost 41.7 points")
    assert "| behind a break (seen before, out of reach) | 36.84 % | 560 |" in text
    assert "| date or time | system message | 702 | 1,853,120 | +41.20 | +41.20 |" in text
    assert "| different task, agent or branch | system message | 3 | 20 | - | - |" in text
    assert "\n- …" not in text.replace("```diff\n- ", "")
    assert "[10:32:07]. Answer in English.⏎Be brief." in text
    assert "| b&b | 2 | 14.55 % | 27.27 % | 54.55 % | message edited in the history, message 2 (user) |" in text
    assert "| acme | 1 | 0 |" in text
    assert "A note &lt;of> the run." in text


def test_code_blocks_of_markdown_hold_any_text(tmp_path: Path, explained: Explanation) -> None:
    write_report(tmp_path, explained, "run")
    text = (tmp_path / "explanation.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^````diff\n(.*?)\n````$", text, re.MULTILINE | re.DOTALL)
    assert "```" in block
    assert "\x1b" not in text


def test_shares_sum_to_the_prompt_tokens(explained: Explanation) -> None:
    *rows, total = tokens_section(explained).rows
    assert sum(int(row[2].replace(",", "")) for row in rows) == int(total[2].replace(",", "")) == 1520


def test_report_of_an_unbroken_run(tmp_path: Path, nothing_broken: Explanation) -> None:
    write_report(tmp_path, nothing_broken, "run")
    for name in ("explanation.md", "explanation.html"):
        assert nothing_broken.verdict in (tmp_path / name).read_text(encoding="utf-8")
