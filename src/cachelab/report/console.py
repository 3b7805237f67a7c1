"""Prints the one summary at the end of a run."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich import box
from rich.console import Console, Group, JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

from cachelab.pipeline import Result
from cachelab.report.fitted import fitted
from cachelab.report.section import Section
from cachelab.report.sections import context, headline, logged_line, sections
from cachelab.sweep.sweep_report import SweepReport
from cachelab.tracking.description import RunDescription

_MAX_TURNS = 12
_TWO_COLUMNS_FROM = 120
_BETWEEN = 2  # blanks between two tables side by side
_RUN_FILE, _SWEEP_FILE = "summary.md", "comparison.md"


def print_summary(
    result: Result, description: RunDescription, where_to_look: Mapping[str, str], console: Console | None = None
) -> None:
    """Print the summary to the console (by default stdout); plain text where that is no terminal."""
    console = console or Console(highlight=False)
    first, *others = sections(result, description, max_turns=_MAX_TURNS)
    console.print()
    console.print(Text(description.run_name, style="bold"))
    console.print(Text(headline(result), style="bold green"))
    console.print(Text(context(result)))
    if line := logged_line(result):
        console.print(Text(line))
    for note in result.run.notes:
        console.print(Text(note, style="dim"))
    console.print()
    console.print(_drawn(first, console, console.width, _RUN_FILE))
    console.print(_arranged(others, console))
    _where({**where_to_look, "files": _short(description.output_dir), "again": description.command}, console)


def print_notes(notes: Sequence[str], console: Console | None = None) -> None:
    """Print how the dataset was read, a line each, before the engine runs."""
    console = console or Console(highlight=False)
    for note in notes:
        _line(console, note)


def print_job(result: Result, description: RunDescription, console: Console | None = None) -> None:
    """One line for a job of a sweep: its tables are in its run."""
    console = console or Console(highlight=False)
    number = "" if description.sweep is None else f"#{description.sweep.number} "
    _line(console, f"{number}{description.run_name}: {headline(result)}; {context(result)}")


def print_infeasible(description: RunDescription, why: str, console: Console | None = None) -> None:
    """One line for a job of a search that has nothing to run."""
    number = "" if description.sweep is None else f"#{description.sweep.number} "
    _line(console or Console(highlight=False), f"{number}{description.run_name}: infeasible: {why}")


def print_reused(description: RunDescription, run_id: str, console: Console | None = None) -> None:
    """One line for a job of a sweep that was not run again."""
    number = "" if description.sweep is None else f"#{description.sweep.number} "
    _line(console or Console(highlight=False), f"{number}{description.run_name}: finished before (run {run_id})")


def print_sweep(report: SweepReport, where_to_look: Mapping[str, str], console: Console | None = None) -> None:
    """Print what came out of a sweep to the console (by default stdout)."""
    console = console or Console(highlight=False)
    console.print()
    for section in report.sections:
        if report.study is None or section.title != "Jobs":  # each trial had its line
            console.print(_drawn(section, console, console.width, _SWEEP_FILE))
    for line in report.headlines:
        console.print(Text(line, style="bold green"))
    console.print()
    _where({**where_to_look, "files": _short(Path(where_to_look["files"]))}, console)


def _line(console: Console, text: str) -> None:
    console.print(Text(text), no_wrap=True, overflow="ignore", crop=False)


def _where(lines: Mapping[str, str], console: Console) -> None:
    width = max(map(len, lines))
    console.print(Text("Where to look", style="bold cyan"))
    for label, text in lines.items():
        # A line to copy is never broken, however long.
        console.print(Text(f"  {label:<{width}}  {text}"), no_wrap=True, overflow="ignore", crop=False)


def _drawn(section: Section, console: Console, width: int, whole: str) -> RenderableType:
    """The section in `width` letters; `whole` is the file that holds the columns that do not fit."""
    drawn = box.SIMPLE_HEAD if console.is_terminal else None
    fits = fitted(section, width, gap=2 if drawn is None else 3)
    table = Table(box=drawn, pad_edge=False, show_edge=False, padding=(0, 1))
    for index, letters, head in zip(fits.columns, fits.widths, fits.heads, strict=True):
        justify: JustifyMethod = "left" if index in section.left else "right"
        table.add_column(Text(head), justify=justify, overflow="fold", width=letters)
    for row in section.rows:
        table.add_row(*(Text(row[index]) for index in fits.columns))
    notes = [section.note] if section.note else []
    if fits.left_out:
        notes.append(f"Too wide for {width} columns of text, see {whole}: {', '.join(fits.left_out)}.")
    return Group(Text(section.title, style="bold cyan"), table, *(Text(note, style="dim") for note in notes), Text())


def _arranged(found: Sequence[Section], console: Console) -> RenderableType:
    """Below one another or, where there is room, in two columns of about equal height."""
    if console.width < _TWO_COLUMNS_FROM:
        return Group(*(_drawn(section, console, console.width, _RUN_FILE) for section in found))
    half = (console.width - _BETWEEN) // 2
    heights = [len(section.rows) + 4 for section in found]
    split = min(range(1, len(found) + 1), key=lambda k: max(sum(heights[:k]), sum(heights[k:])))
    grid = Table.grid(padding=(0, _BETWEEN))
    for _ in range(2):
        grid.add_column(width=half)
    drawn = [_drawn(section, console, half, _RUN_FILE) for section in found]
    grid.add_row(Group(*drawn[:split]), Group(*drawn[split:]))
    return grid


def _short(folder: Path) -> str:
    """Relative to the working directory where that is the shorter way to say it."""
    return min(str(folder), os.path.relpath(folder), key=len)
