"""stdout that fails, and disks that are full: one line, and the outcome of the run as it was."""

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cachelab.disk import no_room, size, writing
from cachelab.error_format import format_error
from cachelab.errors import StorageError
from cachelab.export.trace_writer import write_trace
from cachelab.output import Output


def test_output_remembers_its_first_error_and_lets_the_rest_go() -> None:
    with open("/dev/full", "w") as full:
        output = Output(full)
        output.write("much " * 10_000)
        output.flush()
        output.write("more")
        output.flush()
    assert output.error is not None
    assert output.error.errno == errno.ENOSPC


@pytest.mark.parametrize("arguments", [(), ("--help",), ("--cfg", "job")])
def test_cli_on_a_full_stdout_is_one_line(repository: Path, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "cachelab", *arguments],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(repository / "src")},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=100,
            check=False,
        )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("cachelab: standard output could not be written (No space left on device)")


def no_space(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_writing_names_the_folder_the_reason_and_the_space(tmp_path: Path) -> None:
    (tmp_path / "half").write_bytes(b"x" * 3000)

    def wrapped() -> None:
        try:
            no_space()
        except OSError as error:
            raise RuntimeError("a library's own") from error

    said = rf"^{tmp_path}: No space left on device: .* are free, more than .* are needed: free some space, or go"
    with pytest.raises(StorageError, match=said), writing(tmp_path, "go elsewhere"):
        wrapped()


def test_writing_lets_other_errors_pass(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), writing(tmp_path, "go elsewhere"):
        (tmp_path / "absent").read_bytes()


def test_no_room_knows_a_full_database() -> None:
    import sqlite3

    assert no_room(sqlite3.OperationalError("database or disk is full")) == "database or disk is full"
    assert no_room(sqlite3.OperationalError("database is locked")) is None
    assert no_room(None) is None


def test_trace_that_finds_no_room_leaves_nothing(tmp_path: Path) -> None:
    def rows() -> Iterator[dict[str, int]]:
        yield {"a": 1}
        no_space()

    with pytest.raises(StorageError, match=str(tmp_path)):
        write_trace(tmp_path / "trace.jsonl.gz", rows())
    assert list(tmp_path.iterdir()) == []


def test_complaint_of_a_full_disk_is_one_line_that_names_a_folder() -> None:
    line = format_error(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    assert str(Path.cwd()) in line
    assert "No space left on device" in line
    assert "\n" not in line


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (1 << 31, "2.0 GiB")])
def test_size_is_for_people(count: int, text: str) -> None:
    assert size(count) == text
