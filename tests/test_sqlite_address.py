"""Addresses of SQLite databases."""

from pathlib import Path

import pytest

from cachelab.sqlite_address import database_file, in_memory, is_sqlite


@pytest.mark.parametrize(
    ("address", "file"),
    [
        ("sqlite:///a/b.db", "a/b.db"),
        ("sqlite:////a/b.db", "/a/b.db"),
        ("sqlite+pysqlite:///b.db?timeout=3", "b.db"),
    ],
)
def test_address_of_a_file(address: str, file: str) -> None:
    assert is_sqlite(address)
    assert not in_memory(address)
    assert database_file(address) == Path(file).resolve()


@pytest.mark.parametrize(
    "address", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:///file:x?mode=memory&uri=true"]
)
def test_address_of_a_database_in_memory(address: str) -> None:
    assert is_sqlite(address)
    assert in_memory(address)
    assert database_file(address) is None


@pytest.mark.parametrize("address", ["http://127.0.0.1:5000", "postgresql://user@host/db", "mlruns"])
def test_address_of_another_store(address: str) -> None:
    assert not is_sqlite(address)
    assert database_file(address) is None
