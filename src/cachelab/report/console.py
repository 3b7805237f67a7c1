"""Prints the summary at the end of a run, and the lines and tables of a sweep."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich import box
from rich.console import Console, Group, JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

from cachelab.error_format import cut
from cachelab.pipeline import Result
from cachelab.report.clauses import in_clauses
from cachelab.report.fitted import fitted
from cachelab.report.headline import context, further_lines, headline
from cachelab.report.largest_losses import LargeLoss, largest_losses
from cachelab.report.section import Section, count, grouped, percent
from cachelab.report.sections import asked_for, sections
from cachelab.report.turns_section import turns
from cachelab.tracking.description import RunDescription

_MAX_TURNS = 12
_MAX_LINES = 40  # of the short summary
_TWO_COLUMNS_FROM = 120
_BETWEEN = 2  # blanks between two columns of tables
_RUN_FILE = "summary.md"


def print_summary(
    result: Result,
    description: RunDescription,
    where_to_look: Mapping[str, str],
    console: Console | None = None,
    *,
    verbose: bool = False,
) -> None:
    """Print the summary to the console (default: stdout): at most 40 lines, or all tables if `verbose`.

    It is plain text if the console is not a terminal.
    """
    console = console or Console(highlight=False)
    folder = short_path(description.output_dir)
    page = "artifacts/report.html" + ("" if verbose else "; all tables: summary.md or report.verbose=true")
    where = {**where_to_look, "files": folder, "page": page, "repeat": description.command}
    losses = largest_losses(result)
    top = _top(result, description, console.width)
    end = _end(result, losses, console.width)
    console.print(top)
    if verbose:
        first, *others = sections(result, description, max_turns=_MAX_TURNS)
        console.print()
        console.print(drawn(first, console, console.width, _RUN_FILE))
        console.print(_arranged(others, console))
    else:
        notes = sum(len(in_clauses(note, console.width)) for note in result.workload.dataset.notes)
        others_height = _height(top, console) + _height(end, console) + len(where) + 2 + notes
        for part in _brief(result, description, losses, console, _MAX_LINES - others_height):
            console.print(part)
    print_where(where, console)
    console.print(end)


def _top(result: Result, description: RunDescription, width: int) -> Group:
    """The run's name, its headline, what it is compared with, and the engine's notes."""
    rejected = [record.reason or "no reason given" for record in result.run.records if record.outcome == "rejected"]
    reasons = [f"{count(number)} rejected: {reason}" for reason, number in grouped(rejected)][:1]
    lines = [context(result), *further_lines(result), *reasons]
    return Group(
        Text(),
        Text(cut(description.run_name, width), style="bold"),
        _clauses(headline(result), width, "bold green"),
        *(_clauses(line, width) for line in lines),
        *(_clauses(note, width, "dim") for note in result.run.notes),
    )


def _end(result: Result, losses: Sequence[LargeLoss], width: int) -> Group:
    """The headline and the largest loss again, for a terminal that shows only the end."""
    lines = [_clauses(loss.line, width) for loss in losses[:1]]
    return Group(Text(), _clauses(headline(result), width, "bold green"), *lines)


def _brief(
    result: Result, description: RunDescription, losses: Sequence[LargeLoss], console: Console, room: int
) -> list[RenderableType]:
    """The losses with what to try, the tables that the config asks for, and the turns, in at most `room` lines.

    The losses make room for the tables if these do not fit otherwise.
    """
    parts: list[RenderableType] = [Text(), *([_losses(losses, console.width)] if losses else [])]
    tables = [drawn(section, console, console.width, _RUN_FILE) for section in asked_for(result, description)]
    wanted = sum(_height(table, console) for table in tables)
    if sum(_height(part, console) for part in parts) + wanted > room >= 1 + wanted:
        parts = [Text()]
    left = room - sum(_height(part, console) for part in parts)
    for table in tables:
        if _height(table, console) <= left:
            parts.append(table)
            left -= _height(table, console)
    for rows in range(_MAX_TURNS, 2, -1):
        section = turns(result.observation, rows)
        table = drawn(section, console, console.width, _RUN_FILE)
        if section.rows and _height(table, console) <= left:
            return [*parts, table]
    return parts


def _losses(losses: Sequence[LargeLoss], width: int) -> Group:
    """Each loss with its share, and what to try below it."""
    lines = [Text("Largest losses (share of the prompt tokens)", style="bold cyan")]
    for loss in losses:
        lines.append(Text(f"{percent(loss.share.value):>9}  {loss.label}, {count(loss.share.numerator)} tokens"))
        lines += [Text(f"{'':11}{line}", style="dim") for line in in_clauses(f"try: {loss.advice}", width - 11)]
    return Group(*lines, Text())


def _clauses(text: str, width: int, style: str = "") -> Text:
    return Text("\n".join(in_clauses(text, width)), style=style)


def _height(part: RenderableType, console: Console) -> int:
    return len(console.render_lines(part, pad=False))


def print_notes(notes: Sequence[str], console: Console | None = None) -> None:
    """Print how the dataset was read, one line per note, before the engine runs."""
    console = console or Console(highlight=False)
    for note in notes:
        for line in in_clauses(note, console.width):
            _line(console, line)


def print_job(result: Result, description: RunDescription, console: Console | None = None) -> None:
    """Print one line for a job of a sweep. Its tables are in its run."""
    console = console or Console(highlight=False)
    number = "" if description.sweep is None else f"#{description.sweep.number} "
    _line(console, f"{number}{description.run_name}: {headline(result)}; {context(result)}")


def print_infeasible(description: RunDescription, why: str, console: Console | None = None) -> None:
    """Print one line for a job of a search whose filter keeps no conversation."""
    number = "" if description.sweep is None else f"#{description.sweep.number} "
    _line(console or Console(highlight=False), f"{number}{description.run_name}: infeasible: {why}")


def print_failed(number: int | None, run_name: str, why: str, console: Console | None = None) -> None:
    """Print one line for a job of a sweep that failed, with the reason."""
    place = "" if number is None else f"#{number} "
    _line(console or Console(highlight=False), f"{place}{run_name}: failed: {why}")


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
