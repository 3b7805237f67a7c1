"""The progress of a run on the terminal."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar
from rich.text import Text

from cachelab.engine.base import Progress
from cachelab.stage_progress import listening


class RateColumn(ProgressColumn):
    """Requests (or the task's own `unit`) per second, by the wall clock; bytes as MB."""

    def render(self, task: Task) -> Text:
        rate, unit = task.finished_speed or task.speed, task.fields.get("unit", "requests")
        if rate is None:
            return Text("")
        if unit == "bytes":
            rate, unit = rate / 1e6, "MB"
        return Text(f"{rate:,.0f} {unit}/s" if rate >= 10 else f"{rate:.1f} {unit}/s")


class DoneColumn(ProgressColumn):
    """How much of how much, bytes as MB."""

    def render(self, task: Task) -> Text:
        scale, unit = (1e6, " MB") if task.fields.get("unit") == "bytes" else (1, "")
        whole = "" if task.total is None else f"/{task.total / scale:,.0f}"
        return Text(f"{task.completed / scale:,.0f}{whole}{unit}")


@contextmanager
def doing(what: str, console: Console | None = None) -> Iterator[None]:
    """Show on stderr what is being done, and for how long; show nothing if stderr is not a terminal."""
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    with Bar(
        SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=console, transient=True
    ) as bar:
        bar.add_task(f"{what} ...", total=None)
        yield


@contextmanager
def preparing(console: Console | None = None) -> Iterator[None]:
    """Show on a terminal how far reading and tokenising are, with rate and time left, while the context lasts.

    The stages report it (stage_progress.py). Until the first report the line says what is being done.
    """
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DoneColumn(), RateColumn(), TimeRemainingColumn())
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("reading and tokenising the dataset", total=None, unit="")
        stage = ""

        def show(what: str, done: int, whole: int | None) -> None:
            nonlocal stage
            if what != stage:
                stage = what
                name, _, unit = what.partition(", ")
                bar.reset(task, total=whole, description=name, unit=unit)
            bar.update(task, completed=done, total=whole)

        with listening(show):
            yield


@contextmanager
def progress_bar(
    total: int, console: Console | None = None, *, starting: str = "starting the engine"
) -> Iterator[Progress]:
    """Draw a bar of `total` requests on stderr while the context lasts; draw nothing if stderr is not a terminal.

    Until the first request has ended it says `starting`, and for how long.
    """
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield lambda ended: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        RateColumn(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task(starting, total=total)
        yield lambda ended: bar.update(task, advance=ended, description="requests")
