import io
import re

import pytest
from rich.console import Console

from cachelab.report.progress import doing, preparing, progress_bar
from cachelab.stage_progress import report


def test_progress_bar_quiet_where_no_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    with progress_bar(3) as progress:
        progress(3)

    assert capfd.readouterr() == ("", "")


def test_progress_bar_counts_on_a_terminal() -> None:
    file = io.StringIO()
    with progress_bar(1200, Console(file=file, force_terminal=True, width=100), starting="loading vLLM") as progress:
        progress(1)
        progress(1199)

    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", file.getvalue())
    assert "loading vLLM" in text
    assert "1200/1200" in text
    assert "requests/s" in text


def test_doing_says_what_on_a_terminal_only(capfd: pytest.CaptureFixture[str]) -> None:
    file = io.StringIO()
    with doing("computing the metrics", Console(file=file, force_terminal=True, width=100)):
        pass
    with doing("computing the metrics"):
        pass

    assert "computing the metrics ..." in file.getvalue()
    assert capfd.readouterr() == ("", "")


def test_preparing_shows_each_stage_with_its_rate(capfd: pytest.CaptureFixture[str]) -> None:
    file = io.StringIO()
    with preparing(Console(file=file, force_terminal=True, width=100)):
        report("reading, bytes", 5_000_000, 20_000_000)
        report("reading, bytes", 20_000_000, 20_000_000)
        report("tokenising, conversations", 1, 700)
        report("tokenising, conversations", 350, 700)
    with preparing():
        report("reading, bytes", 1, 2)

    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", file.getvalue())
    assert "tokenising" in text
    assert "350/700" in text
    assert "conversations/s" in text
    assert capfd.readouterr() == ("", "")
