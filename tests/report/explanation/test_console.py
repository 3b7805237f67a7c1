"""An explanation in a terminal of 80 columns."""

import io
from dataclasses import replace

import pytest
from rich.cells import cell_len
from rich.console import Console

from cachelab.explanation import Explanation
from cachelab.metrics.base import Ratio
from cachelab.report.explanation import explanation_text, print_explanation
from cachelab.report.explanation.verdict import verdict


def printed(explanation: Explanation, width: int = 80, **options: object) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False, **options)  # type: ignore[arg-type]
    print_explanation(explanation, console, "explanation.md")
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_console_shows_verdict_causes_and_fixes(explained: Explanation) -> None:
    lines = printed(explained).splitlines()
    assert lines[:12] == [
        "hit rate 38.80 %; a date or time (system message) costs 41.20 points: without it",
        "80.00 %; without all 2 causes 80.50 %",
        "",
        " #  cause and place                         requests      tokens   alone  so far",
        " 1  date or time, system message                 702   1,853,120  +41.20  +41.20",
        "    before  …istant. The current time is [10:32:07]. Answer in English.⏎Be brie…",
        "    after   …istant. The current time is [10:32:09]. Answer in English.⏎Be brie…",
        "    fix     Move the date or time to the end of the last user message, or round",
        "            it so that it changes rarely.",
        " 2  message edited in the history,                 1          60   +0.20  +41.70",
        "    message 2 (user)",
        "    before  a <b>[<script>alert(1)</script>]</details> & more",
    ]
    assert " 3  different task, agent or branch,               3          20       -       -" in lines
    assert lines[-2:] == ["All causes undone: hit rate 80.50 %.", "A note <of> the run."]
    assert max(map(cell_len, lines)) <= 80


def test_plain_text_is_what_the_console_prints(explained: Explanation) -> None:
    assert explanation_text(explained).splitlines() == printed(explained).splitlines()


def test_terminal_marks_the_difference(explained: Explanation) -> None:
    shown = printed(explained, force_terminal=True, color_system="standard")
    assert "\x1b[7m[10:32:09]\x1b[0m" in shown
    assert "\x1b[31m" not in shown  # the escape sequence of the prompt's text is not sent


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_lines_fit_the_width(explained: Explanation, width: int) -> None:
    assert max(map(cell_len, printed(explained, width).splitlines())) <= width


def test_more_causes_than_fit_are_counted(explained: Explanation) -> None:
    many = replace(explained, causes=[explained.causes[0]] * 13)
    assert "3 more causes, see explanation.md." in printed(many)


def test_verdict_without_causes(nothing_broken: Explanation, explained: Explanation) -> None:
    assert verdict(nothing_broken) == "hit rate 90.00 %; no prompt leaves an earlier one before its end"
    only_tasks = replace(explained, causes=explained.causes[2:])
    assert verdict(only_tasks) == "hit rate 38.80 %; no break has a cause that can be undone"
    useless = replace(explained, causes=[replace(explained.causes[0], hit_rate_alone=Ratio(388, 1000))])
    assert verdict(useless) == "hit rate 38.80 %; undoing the causes of the breaks gives no points"


def test_verdict_of_one_cause_names_no_others(explained: Explanation) -> None:
    one = replace(explained, causes=explained.causes[:1], hit_rate_all_fixed=Ratio(800, 1000))
    assert verdict(one) == "hit rate 38.80 %; a date or time (system message) costs 41.20 points: without it 80.00 %"
