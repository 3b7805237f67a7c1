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
from cachelab.tracking.description import RunDescription

_MAX_TURNS = 12
_TWO_COLUMNS_FROM = 120


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
    lines = {**where_to_look, "files": _short(description.output_dir), "again": description.command}
    width = max(map(len, lines))
    console.print(Text("Where to look", style="bold cyan"))
    for label, text in lines.items():
        # A line to copy is never broken, however long.
        console.print(Text(f"  {label:<{width}}  {text}"), no_wrap=True, overflow="ignore", crop=False)


def _drawn(section: Section, console: Console) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD if console.is_terminal else None, pad_edge=False, show_edge=False, padding=(0, 1))
    for index, column in enumerate(section.columns):
        words = index in section.left
        table.add_column(column, justify="left" if words else "right", no_wrap=not words, overflow="fold")
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
