import io
import re

import pytest
from rich.console import Console

from cachelab.report.progress import doing, progress_bar


def test_progress_bar_quiet_where_no_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    with progress_bar(3) as progress:
        progress(3)

    assert capfd.readouterr() == ("", "")


def test_progress_bar_counts_on_a_terminal() -> None:
    file = io.StringIO()
    with progress_bar(1200, Console(file=file, force_terminal=True, width=100)) as progress:
        progress(1)
        progress(1199)

    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", file.getvalue())
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
