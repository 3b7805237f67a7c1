"""Addresses of SQLite databases (`sqlite:///FILE`), as SQLAlchemy reads them."""

import re
from pathlib import Path


def is_sqlite(address: str) -> bool:
    """Whether the address names an SQLite database."""
    return re.match(r"sqlite\b", address) is not None


def in_memory(address: str) -> bool:
    """Whether the SQLite database is in memory, and so is lost with the process."""
    database, query = _split(address)
    return database.strip("/ ") == "" or ":memory:" in database or "mode=memory" in query.lower()


def database_file(address: str) -> Path | None:
    """The absolute path of the database; None if the address names no SQLite file."""
    return None if not is_sqlite(address) or in_memory(address) else Path(_split(address)[0]).resolve()


def _split(address: str) -> tuple[str, str]:
    database, _, query = re.sub(r"^sqlite(\+\w+)?:(///?)?", "", address).partition("?")
    return database, query
