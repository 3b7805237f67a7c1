"""The parser of the commands next to a run: `cachelab compare`, `cachelab report`."""

import argparse
from typing import NoReturn

from cachelab.errors import ConfigError


class CommandParser(argparse.ArgumentParser):
    """A parser whose errors are one line, raised as ConfigError."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{self.prog.split()[-1]}: {message}: see python -m {self.prog} --help")


def add_tracking_uri(parser: argparse.ArgumentParser) -> None:
    """The option for the store in which run ids are looked up."""
    parser.add_argument(
        "--tracking-uri",
        metavar="URI",
        help="the MLflow store that holds the ids (default: $MLFLOW_TRACKING_URI, else mlflow.db in this folder)",
    )
