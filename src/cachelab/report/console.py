"""Prints the summary at the end of a run, and the lines and tables of a sweep."""

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
from cachelab.tracking.description import RunDescription

_MAX_TURNS = 12
_TWO_COLUMNS_FROM = 120
_BETWEEN = 2  # blanks between two columns of tables
_RUN_FILE = "summary.md"


def print_summary(
    result: Result, description: RunDescription, where_to_look: Mapping[str, str], console: Console | None = None
) -> None:
    """Print the summary to the console (default: stdout). It is plain text if the console is not a terminal."""
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
    console.print(drawn(first, console, console.width, _RUN_FILE))
    console.print(_arranged(others, console))
    print_where({**where_to_look, "files": short_path(description.output_dir), "repeat": description.command}, console)


def print_notes(notes: Sequence[str], console: Console | None = None) -> None:
    """Print how the dataset was read, one line per note, before the engine runs."""
    console = console or Console(highlight=False)
    for note in notes:
        _line(console, note)


def print_job(result: Result, description: RunDescription, console: Console | None = None) -> None:
    """Print one line for a job of a sweep. Its tables are in its run."""
    console = console or Console(highlight=False)
    number = "" if description.sweep is None else f"#{description.sweep.number} "
    _line(console, f"{number}{description.run_name}: {headline(result)}; {context(result)}")


def print_infeasible(description: RunDescription, why: str, console: Console | None = None) -> None:
    """Print one line for a job of a search whose filter keeps no conversation."""
    number = "" if description.sweep is None else f"#{description.sweep.number} "
    _line(console or Console(highlight=False), f"{number}{description.run_name}: infeasible: {why}")


def print_reused(description: RunDescription, run_id: str, console: Console | None = None) -> None:
    """Print one line for a job of a sweep that had finished before and is not run again."""
    number = "" if description.sweep is None else f"#{description.sweep.number} "
    _line(console or Console(highlight=False), f"{number}{description.run_name}: finished before (run {run_id})")


def print_unmet(lines: Sequence[object], console: Console | None = None) -> None:
    """Print one line on stderr for each bound of `require` that is not met."""
    console = console or Console(stderr=True, highlight=False)
    for line in lines:
        _line(console, f"cachelab: {line}")


def print_tables(sections: Sequence[Section], whole: str, console: Console | None = None) -> None:
    """Print tables to the console (by default stdout); `whole` names what holds the columns that do not fit."""
    console = console or Console(highlight=False)
    for section in sections:
        console.print(drawn(section, console, console.width, whole))


def _line(console: Console, text: str) -> None:
    console.print(Text(text), no_wrap=True, overflow="ignore", crop=False)


def print_where(lines: Mapping[str, str], console: Console) -> None:
    """Print labelled commands and addresses, each on one line however long it is."""
    width = max(map(len, lines))
    console.print(Text("Where to look", style="bold cyan"))
    for label, text in lines.items():
        # These lines are copied, so they are never broken.
        console.print(Text(f"  {label:<{width}}  {text}"), no_wrap=True, overflow="ignore", crop=False)


def drawn(section: Section, console: Console, width: int, whole: str) -> RenderableType:
    """The section in `width` characters. `whole`: the file that has the columns that do not fit."""
    lines = box.SIMPLE_HEAD if console.is_terminal else None
    fits = fitted(section, width, gap=2 if lines is None else 3)
    table = Table(box=lines, pad_edge=False, show_edge=False, padding=(0, 1))
    for index, letters, head in zip(fits.columns, fits.widths, fits.heads, strict=True):
        justify: JustifyMethod = "left" if index in section.left else "right"
        table.add_column(Text(head), justify=justify, overflow="fold", width=letters)
    for row in section.rows:
        table.add_row(*(Text(row[index]) for index in fits.columns))
    notes = [section.note] if section.note else []
    if fits.left_out:
        notes.append(f"Columns that do not fit in {width} characters, see {whole}: {', '.join(fits.left_out)}.")
    return Group(Text(section.title, style="bold cyan"), table, *(Text(note, style="dim") for note in notes), Text())


def _arranged(found: Sequence[Section], console: Console) -> RenderableType:
    """The sections below one another or, if the console is wide enough, in two columns of about equal height."""
    if console.width < _TWO_COLUMNS_FROM:
        return Group(*(drawn(section, console, console.width, _RUN_FILE) for section in found))
    half = (console.width - _BETWEEN) // 2
    heights = [len(section.rows) + 4 for section in found]
    split = min(range(1, len(found) + 1), key=lambda k: max(sum(heights[:k]), sum(heights[k:])))
    grid = Table.grid(padding=(0, _BETWEEN))
    for _ in range(2):
        grid.add_column(width=half)
    tables = [drawn(section, console, half, _RUN_FILE) for section in found]
    grid.add_row(Group(*tables[:split]), Group(*tables[split:]))
    return grid


def short_path(folder: Path) -> str:
    """The folder's path, relative to the working directory if that is shorter."""
    return min(str(folder), os.path.relpath(folder), key=len)
