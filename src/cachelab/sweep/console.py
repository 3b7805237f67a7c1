"""Prints the result of a sweep."""

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.text import Text

from cachelab.report.clauses import in_clauses
from cachelab.report.console import drawn, print_where, short_path
from cachelab.sweep.sweep_report import SweepReport


def print_sweep(report: SweepReport, where_to_look: Mapping[str, str], console: Console | None = None) -> None:
    """Print a sweep's tables and headlines to the console (by default stdout).

    `where_to_look` maps labels to commands and addresses; "files" is the sweep's folder.
    """
    console = console or Console(highlight=False)
    console.print()
    # Each job printed its own line; a table by size has the numbers of those that finished.
    in_a_table = report.by_size is not None and all(job.finished for job in report.jobs)
    for section in report.sections:
        if section.title != "Jobs" or not (report.study or in_a_table):
            console.print(drawn(section, console, console.width, "comparison.md"))
    for headline in report.headlines:
        for line in in_clauses(headline, console.width):
            console.print(Text(line, style="bold green"))
    console.print()
    print_where({**where_to_look, "files": short_path(Path(where_to_look["files"])), "page": "report.html"}, console)
