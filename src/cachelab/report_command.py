"""`cachelab report RUN`: the page of a logged run or sweep, as a file."""

from collections.abc import Sequence
from pathlib import Path

from cachelab.command_parser import CommandParser, add_tracking_uri


def report_command(arguments: Sequence[str]) -> None:
    """Write the page and print its path. Raises CachelabError; ConfigError for wrong usage."""
    options = _parser().parse_args(arguments)
    from cachelab.atomic import atomic_file
    from cachelab.secret import hide_address
    from cachelab.sweep.logged_page import logged_page

    uri = None if options.tracking_uri is None else hide_address(options.tracking_uri)
    name, page = logged_page(options.run, tracking_uri=uri)
    path = Path(options.output or f"report_{name}.html")
    with atomic_file(path, "write elsewhere with --output FILE") as part:
        part.write_text(page, encoding="utf-8")
    print(path)


def _parser() -> CommandParser:
    parser = CommandParser(
        prog="cachelab report",
        description="Write the HTML page of a finished run or sweep. It needs no network.",
        epilog="RUN is an MLflow run id, or a folder: a run's own, its artifacts, or a sweep's.",
    )
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("--output", metavar="FILE", help="the file to write (default: report_NAME.html in this folder)")
    add_tracking_uri(parser)
    return parser
