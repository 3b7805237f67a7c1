"""report.html of a sweep: verdicts, jobs, comparison and figures on one page."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cachelab.report.explanation.changed_text import printable
from cachelab.report.page.drawing import drawings
from cachelab.report.page.template import rendered
from cachelab.sweep.comparison_sections import differences

if TYPE_CHECKING:
    from cachelab.sweep.sweep_report import SweepReport


def sweep_page(report: "SweepReport", figures: Path, captions: Mapping[str, str], command: str) -> str:
    """The page. `figures` is the folder with the sweep's SVG files, `captions` says what each shows."""
    shown, too_large = drawings(figures, captions)
    several = len(report.comparisons) > 1
    details = [differences(comparison) for comparison in report.comparisons if comparison.differences and several]
    return rendered(
        "page/sweep.html.j2",
        title=printable(report.name),
        headlines=[printable(line) for line in report.headlines],
        unmet=[printable(line) for line in report.unmet],
        sections=[*report.sections, *details],
        drawings=shown,
        too_large=too_large,
        command=command,
    )
