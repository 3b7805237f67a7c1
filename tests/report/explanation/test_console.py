"""An explanation in a terminal of 80 columns."""

import io
from dataclasses import replace

import pytest
from rich.cells import cell_len
from rich.console import Console

from cachelab.explanation import Explanation
from cachelab.pipeline import Result
from cachelab.report.explanation import explanation_text, print_explained_run, print_explanation
from cachelab.tracking.description import RunDescription


def printed(explanation: Explanation, width: int = 80, **options: object) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False, **options)  # type: ignore[arg-type]
    print_explanation(explanation, console, "explanation.md")
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_console_shows_verdict_causes_and_fixes(explained: Explanation) -> None:
    lines = printed(explained).splitlines()
    assert lines[:14] == [
        "hit rate 38.8 %; 2 causes cost 41.7 points: without them 80.5 %;",
        "the largest alone: a date or time in the system message (41.2 points)",
        "",
        " #  cause and place                         requests      tokens   alone  so far",
        " 1  date or time, system message                 702   1,853,120  +41.20  +41.20",
        "    before  …istant. The current time is [10:32:07]. Answer in English.⏎Be brie…",
        "    after   …istant. The current time is [10:32:09]. Answer in English.⏎Be brie…",
        "    fix     Move the date or time to the end of the user message with which it",
        "            is sent, and keep it there in the history; or round it.",
        "    or      hit rate 79.50 % (+40.70 points) with its line at the end of the",
        "            user message with which it is sent",
        " 2  message edited in the history,                 1          60   +0.20  +41.70",
        "    message 2 (user)",
        "    before  a <b>[<script>alert(1)</script>]</details> & more",
    ]
    assert " 3  different task, agent or branch,               3          20       -       -" in lines
    assert lines[-2:] == ["Causes 1 to 2 undone: hit rate 80.50 %.", "A note <of> the run."]
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


def test_run_without_causes_is_its_verdict(nothing_broken: Explanation) -> None:
    assert " ".join(printed(nothing_broken).splitlines()) == nothing_broken.verdict


def test_what_a_real_engine_hit_stands_before_what_the_simulator_hits(
    nothing_broken: Explanation,
    result: Result,
    description: RunDescription,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The two hit rates differ where the server's replies are not the recorded ones: both must have their name."""
    monkeypatch.setenv("COLUMNS", "100")
    measured = "measured on the real engine: first-prefill block hit rate 63.64 % (7 of 11 full prompt blocks)"
    simulated = "simulated hit rate 90.0 %: no break of a prefix was found that a change of the prompts avoids"
    ran = replace(result, run=replace(result.run, notes=("The server's cache may have been warm.",)))
    print_explained_run(ran, replace(nothing_broken, simulated=True), description, {})
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:5] == [measured, "The server's cache may have been warm.", "", simulated]
    assert lines[-2:] == [measured, simulated]
    assert "Prompt tokens (simulated)" in lines


def test_explained_run_ends_with_the_verdict(
    explained: Explanation,
    result: Result,
    description: RunDescription,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A terminal of 24 lines shows only the end."""
    monkeypatch.setenv("COLUMNS", "80")
    print_explained_run(result, explained, description, {"run id": "abc"})
    assert capsys.readouterr().out.splitlines()[-4:] == [
        f"  repeat      {description.command}",
        "",
        "hit rate 38.8 %; 2 causes cost 41.7 points: without them 80.5 %;",
        "the largest alone: a date or time in the system message (41.2 points)",
    ]
