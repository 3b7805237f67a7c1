"""An explanation as lines of text, for a terminal and for the message of a failed test."""

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cachelab.explanation import CLASSES, Cause, Explanation
from cachelab.report.clauses import in_clauses
from cachelab.report.explanation.changed_text import before_and_after, printable
from cachelab.report.explanation.savings import other_fix, savings
from cachelab.report.explanation.sections import groups_section, tokens_section
from cachelab.report.section import count, percent, points

if TYPE_CHECKING:
    from rich.console import Console

    from cachelab.pipeline import Result
    from cachelab.tracking.description import RunDescription

MAX_CAUSES = 10
_NUMBERS = (("requests", 10), ("tokens", 12), ("alone", 8), ("so far", 8))
_INDENT = 4
_LABEL = 8  # of "before"
_NARROWEST = 60


@dataclass(frozen=True, slots=True)
class Line:
    """One line of text; `marked` are the first and the last+1 index of the changed part."""

    text: str
    style: str = ""
    marked: tuple[int, int] | None = None


def print_explanation(explanation: Explanation, console: "Console | None" = None, whole: str = "") -> None:
    """Print the verdict and the causes (by default to stdout). `whole` names the file that has all causes."""
    from rich.console import Console

    console = console or Console(highlight=False)
    _print(explanation_lines(explanation, console.width, whole), console)


def _print(lines: Iterable[Line], console: "Console") -> None:
    from rich.text import Text

    for line in lines:
        text = Text(line.text, line.style)
        if line.marked is not None:
            text.stylize("reverse", *line.marked)
        console.print(text, no_wrap=True, overflow="ignore", crop=False)


def print_explained_run(
    result: "Result", explanation: Explanation, description: "RunDescription", where_to_look: Mapping[str, str]
) -> None:
    """Print the explanation of a run to stdout, its headline, where its other tables are, and the verdict again.

    If the explanation is the simulator's, the measured headline stands in front of each verdict, and the notes of the
    real engine are printed.
    """
    from rich.console import Console
    from rich.text import Text

    from cachelab.report.console import print_tables, print_where, short_path
    from cachelab.report.gap_section import gap
    from cachelab.report.headline import context, headline

    console = Console(highlight=False)
    measured = _of_real_engine(result, explanation, console.width)
    console.print()
    if measured:
        notes = [text for note in result.run.notes for text in in_clauses(printable(note), console.width)]
        _print([*measured, *(Line(text, "dim") for text in notes), Line("")], console)
    print_explanation(explanation, console, "breaks.csv")
    console.print()
    tables = [gap(result), tokens_section(explanation)] if gap(result).rows else [tokens_section(explanation)]
    tables += [groups_section(explanation.groups)] if explanation.groups else []
    print_tables(tables, "explanation.md", console)
    console.print(Text(f"{description.run_name}: {headline(result)}; {context(result)}"))
    console.print()
    folder = short_path(description.output_dir)
    files = {"report": f"{folder}/artifacts/explanation.html", "all tables": f"{folder}/artifacts/summary.md"}
    print_where({**where_to_look, **files, "repeat": description.command}, console)
    console.print()  # the verdict again, for a terminal that shows only the end
    _print([*measured, *_verdict(explanation, console.width)], console)


def explanation_text(explanation: Explanation, width: int = 80) -> str:
    """The verdict and the causes as plain text, the difference of two texts in brackets."""
    return "\n".join(line.text for line in explanation_lines(explanation, width))


def explanation_lines(explanation: Explanation, width: int, whole: str = "") -> list[Line]:
    """The verdict, then the causes, in lines of at most `width` cells (60 or more)."""
    width = max(width, _NARROWEST)
    lines = _verdict(explanation, width)
    if explanation.causes:
        lines += [Line(""), Line(_head(width), "bold cyan")]
        for number, cause in enumerate(explanation.causes[:MAX_CAUSES], 1):
            lines += _of_cause(number, cause, explanation, width)
        left_out = len(explanation.causes) - MAX_CAUSES
        notes = [f"{left_out} more causes{f', see {whole}' if whole else ''}."] if left_out > 0 else []
        notes += [
            "tokens: prompt tokens behind the breaks, which an earlier request held. alone: points of the hit rate "
            "that undoing this cause alone gives; so far: together with the causes above it. The changed workloads ran "
            "through the same engine."
        ]
        if explanation.hit_rate_all_fixed is not None:
            notes.append(f"{explanation.all_fixed_label}: hit rate {percent(explanation.hit_rate_all_fixed.value)}.")
        lines += [Line("")] + [Line(text, "dim") for note in notes for text in textwrap.wrap(note, width)]
    return lines + [Line(text, "dim") for note in explanation.notes for text in textwrap.wrap(printable(note), width)]


def _of_real_engine(result: "Result", explanation: Explanation, width: int) -> list[Line]:
    """The measured hit rate, if the explanation is the simulator's."""
    from cachelab.report.headline import headline

    text = f"measured on the real engine: {headline(result)}" if explanation.simulated else ""
    return [Line(line, "bold green") for line in in_clauses(printable(text), width)] if text else []


def _verdict(explanation: Explanation, width: int) -> list[Line]:
    return [Line(text, "bold green") for text in in_clauses(printable(explanation.verdict), width)]


def _head(width: int) -> str:
    columns = "".join(f"{name:>{cells}}" for name, cells in _NUMBERS)
    return f"{'#':>2}  {'cause and place':<{_room(width)}}{columns}"


def _of_cause(number: int, cause: Cause, explanation: Explanation, width: int) -> Iterator[Line]:
    title = textwrap.wrap(f"{CLASSES[cause.kind].title}, {printable(cause.place)}", _room(width) - 1) or [""]
    cells = (count(cause.requests), count(cause.tokens), points(cause.points_alone), points(cause.points_cumulative))
    numbers = "".join(f"{cell:>{room}}" for cell, (_, room) in zip(cells, _NUMBERS, strict=True))
    yield Line(f"{number:>2}  {title[0]:<{_room(width)}}{numbers}", "bold")
    for more in title[1:]:
        yield Line(f"{'':<{_INDENT}}{more}", "bold")
    shown = before_and_after(cause, width - _INDENT - _LABEL)
    if shown is not None:
        for label, text in zip(("before", "after"), shown, strict=True):
            start = _INDENT + _LABEL + len(text.left)
            marked = (start, start + len(text.changed) + 2)
            yield Line(f"{'':<{_INDENT}}{label:<{_LABEL}}{text.marked}", marked=marked)
    if cause.advice:
        yield from _wrapped("fix", cause.advice, width)
    if other := other_fix(cause):
        yield from _wrapped("or", other, width)
    if saved := savings(cause, explanation):
        yield from _wrapped("saves", saved, width)


def _wrapped(label: str, text: str, width: int) -> Iterator[Line]:
    for index, line in enumerate(textwrap.wrap(text, width - _INDENT - _LABEL)):
        yield Line(f"{'':<{_INDENT}}{'' if index else label:<{_LABEL}}{line}")


def _room(width: int) -> int:
    """Cells for the cause and its place."""
    return width - _INDENT - sum(cells for _, cells in _NUMBERS)
