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


class RateColumn(ProgressColumn):
    """Requests per second, by the wall clock."""

    def render(self, task: Task) -> Text:
        rate = task.finished_speed or task.speed
        return Text("" if rate is None else f"{rate:,.0f} requests/s" if rate >= 10 else f"{rate:.1f} requests/s")


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
def progress_bar(total: int, console: Console | None = None) -> Iterator[Progress]:
    """Draw a bar of `total` requests on stderr while the context lasts; draw nothing if stderr is not a terminal."""
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield lambda ended: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), RateColumn(), TimeRemainingColumn())
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("starting the engine", total=total)
        yield lambda ended: bar.update(task, advance=ended, description="requests")
