"""Prints the one summary at the end of a run."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from cachelab.experiment import Result
from cachelab.report.section import Section
from cachelab.report.sections import context, headline, sections
from cachelab.report.sweep_report import SweepReport
from cachelab.tracking.description import RunDescription

_MAX_TURNS = 12
_TWO_COLUMNS_FROM = 120
_WHOLE_WORDS = 20


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
    for note in result.run.notes:
        console.print(Text(note, style="dim"))
    console.print()
    console.print(_drawn(first, console))
    console.print(_arranged([_drawn(section, console) for section in others], others, console.width))
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
            console.print(_drawn(section, console))
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


def _drawn(section: Section, console: Console) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD if console.is_terminal else None, pad_edge=False, show_edge=False, padding=(0, 1))
    for index, column in enumerate(section.columns):
        words = index in section.left
        # Short words stay whole; long ones give way to the numbers.
        width = min(_WHOLE_WORDS, max(map(len, (column, *(row[index] for row in section.rows))))) if words else None
        table.add_column(
            column, justify="left" if words else "right", no_wrap=not words, overflow="fold", min_width=width
        )
    for row in section.rows:
        table.add_row(*(Text(cell) for cell in row))
    note = [Text(section.note, style="dim")] if section.note else []
    return Group(Text(section.title, style="bold cyan"), table, *note, Text())


def _arranged(drawn: Sequence[RenderableType], of: Sequence[Section], width: int) -> RenderableType:
    """Below one another or, where there is room, in two columns of about equal height."""
    if width < _TWO_COLUMNS_FROM:
        return Group(*drawn)
    heights = [len(section.rows) + 4 for section in of]
    split = min(range(1, len(drawn) + 1), key=lambda k: max(sum(heights[:k]), sum(heights[k:])))
    grid = Table.grid(expand=True, padding=(0, 2))
    grid.add_column(ratio=1)
    grid.add_column(ratio=1)
    grid.add_row(Group(*drawn[:split]), Group(*drawn[split:]))
    return grid


def _short(folder: Path) -> str:
    """Relative to the working directory where that is the shorter way to say it."""
    return min(str(folder), os.path.relpath(folder), key=len)
