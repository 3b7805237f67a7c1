"""The overview that `python -m cachelab` prints: commands, and the options of the config folder."""

from collections.abc import Iterator
from pathlib import Path

COMMANDS = (
    ("python -m cachelab experiment=multi_turn", "run one experiment"),
    ("python -m cachelab experiment=multi_turn engine.num_blocks=1024", "change any setting"),
    ("python -m cachelab --multirun experiment=multi_turn,single_turn", "run several and compare them"),
    ("python -m cachelab experiment=explain dataset.path=FILE", "why prefixes break, and what a fix gives"),
    ("python -m cachelab compare RUN_A RUN_B", "compare two finished runs"),
    ("python -m cachelab experiment=multi_turn --cfg job", "show the composed config"),
    ("python -m cachelab report RUN", "write the HTML page of a finished run or sweep"),
    ("python -m cachelab doctor", "check what is installed and reachable"),
    ("python -m cachelab --help", "every setting and its default"),
)


def options(config_dir: Path) -> Iterator[tuple[str, str, str]]:
    """Yield (group, option, description) for every option file; experiments come first."""
    groups = [group for group in config_dir.iterdir() if group.is_dir() and group.name != "hydra"]
    for group in sorted(groups, key=lambda group: (group.name != "experiment", group.name)):
        for file in sorted(group.glob("*.yaml")):
            yield group.name, file.stem, description(file)


def description(file: Path) -> str:
    """Return the first comment line of an option file that is not a Hydra directive; "" if there is none."""
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("#") and not line.startswith("# @"):
            return line.removeprefix("#").strip()
    return ""


def show(config_dir: Path) -> None:
    """Print the commands and the options."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console.print("[bold]cachelab[/]: how much of your prompts can vLLM's prefix cache reuse, and what limits it?\n")
    for command, what in COMMANDS:
        console.print(f"  {command}  [dim]# {what}[/]", no_wrap=True, overflow="ignore", crop=False, highlight=False)
    table = Table(box=None, padding=(0, 1), pad_edge=False)
    for column in ("group", "option", "description"):
        table.add_column(column)
    last = None
    for group, option, what in options(config_dir):
        table.add_row("" if group == last else f"[bold]{group}[/]", option, what)
        last = group
    console.print()
    console.print(table)
