"""`cachelab compare RUN_A RUN_B`: the command line of cachelab.compare."""

import json
from collections.abc import Sequence

from cachelab.command_parser import CommandParser, add_tracking_uri


def compare_command(arguments: Sequence[str]) -> None:
    """Print the comparison of two runs. Raises CachelabError; ConfigError for wrong usage."""
    options = _parser().parse_args(arguments)
    from cachelab.secret import hide_address
    from cachelab.sweep.run_comparison import compare

    uri = None if options.tracking_uri is None else hide_address(options.tracking_uri)
    found = compare(options.run_a, options.run_b, tracking_uri=uri)
    if options.json:
        print(json.dumps(found.as_dict(), indent=2))
        return
    from rich.console import Console
    from rich.text import Text

    from cachelab.report.clauses import in_clauses
    from cachelab.report.console import print_tables

    console = Console(highlight=False)
    print_tables(found.sections, "--json", console)
    for line in in_clauses(found.verdict, console.width):
        console.print(Text(line, style="bold green"))


def _parser() -> CommandParser:
    parser = CommandParser(
        prog="cachelab compare",
        description="Compare two finished runs conversation by conversation, without running them again.",
        epilog="Each run is an MLflow run id, or a folder: a run's own, or its artifacts. Run B is the baseline.",
    )
    parser.add_argument("run_a", metavar="RUN_A")
    parser.add_argument("run_b", metavar="RUN_B")
    add_tracking_uri(parser)
    parser.add_argument("--json", action="store_true", help="print the comparison as JSON")
    return parser
