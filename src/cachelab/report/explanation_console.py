"""Prints an explanation: the verdict, then the causes, largest first."""

from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from cachelab.explanation.result import Cause, Explanation
from cachelab.metrics.base import Ratio
from cachelab.report.console import print_tables
from cachelab.report.section import ABSENT, Section, count, percent

_MOST_TEXT = 48
_MOST_AROUND = 24
_WHOLE = "breaks_per_request.parquet"


def print_explanation(explanation: Explanation, console: Console | None = None) -> None:
    """Print to the console (default: stdout) in at most 80 columns, texts without control characters."""
    console = console or Console(highlight=False)
    console.print()
    console.print(Text(explanation.verdict, style="bold green"))
    for number, cause in enumerate(explanation.causes, 1):
        console.print()
        for line in _lines(number, cause):
            console.print(line)
    console.print()
    print_tables([tokens(explanation), *([by_group(explanation)] if explanation.groups else [])], _WHOLE, console)
    for note in explanation.notes:
        console.print(Text(note, style="dim"))


def tokens(explanation: Explanation) -> Section:
    """The prompt tokens: reused, behind a break, new, and lost for other reasons."""
    sums = {
        "reused": sum(request.reused_tokens for request in explanation.requests),
        "behind a break": explanation.behind_tokens,
        "new": explanation.new_tokens,
        "lost to block rounding, eviction and other reasons": sum(r.other_tokens for r in explanation.requests),
    }
    rows = [
        (name, percent(Ratio(value, explanation.prompt_tokens).value), count(value)) for name, value in sums.items()
    ]
    return Section("Prompt tokens", ("tokens", "share", "number"), rows)


def by_group(explanation: Explanation) -> Section:
    """One row per value of explain.by: its hit tokens, its tokens behind a break and its largest cause."""
    rows = []
    for group in explanation.groups:
        worst = max(group.by_cause.items(), key=lambda item: item[1], default=None)
        first = max(group.first_tokens.items(), key=lambda item: item[1], default=None)
        rows.append(
            (
                plain(group.value)[:_MOST_TEXT] or ABSENT,
                count(group.requests),
                percent(Ratio(group.reused_tokens, group.prompt_tokens).value),
                percent(Ratio(group.behind_tokens, group.prompt_tokens).value),
                ABSENT if first is None else f"< {count(first[0])}",
                ABSENT if worst is None or not worst[1] else f"{worst[0][0]}, {worst[0][1]}",
            )
        )
    columns = ("group", "requests", "reused", "behind a break", "most break at token", "largest cause")
    return Section("By group", columns, rows, left=frozenset({0, 5}))


def plain(text: str) -> str:
    """The text in one line, with escapes for line breaks and for characters that cannot be printed."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)


def _lines(number: int, cause: Cause) -> Iterator[Text]:
    yield Text(f"{number}. {cause.phrase}", style="bold")
    requests = "request" if cause.requests == 1 else "requests"
    yield Text(f"   {count(cause.requests)} {requests}, {count(cause.tokens)} prompt tokens behind the break")
    if cause.hit_rate_alone is None:
        yield Text("   not undone")
    else:
        yield Text(f"   without it {_gain(cause.hit_rate_alone, cause.points_alone)}")
        if number > 1:
            yield Text(f"   without it and those above {_gain(cause.hit_rate_cumulative, cause.points_cumulative)}")
    one = cause.example
    if one is not None and (one.before or one.after):
        for sign, text in (("-", one.before), ("+", one.after)):
            shown = plain(text)
            shown = shown if len(shown) <= _MOST_TEXT else f"{shown[: _MOST_TEXT - 1]}…"
            line = Text(f"   {sign} {plain(one.left)[-_MOST_AROUND:]}")
            line.append(shown, style="bold red" if sign == "-" else "bold yellow")
            line.append(plain(one.right)[: 78 - len(line)] if len(line) < 78 else "")
            yield line
    if cause.advice:
        yield Text(f"   fix: {cause.advice}", style="cyan")


def _gain(rate: Ratio | None, points: float | None) -> str:
    return f"{percent(None if rate is None else rate.value)} ({points or 0.0:+.2f} points)"
