"""Files and folders that are complete or absent."""

import errno
import os
from pathlib import Path

import pytest

from cachelab.atomic import atomic_file, atomic_folder
from cachelab.errors import StorageError


def fill(path: Path) -> None:
    """Write some bytes, and find that the disk is full."""
    path.write_bytes(b"x" * 100)
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_file_appears_under_its_name_when_the_context_ends(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text("old")
    with atomic_file(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert names(tmp_path) == ["result.json"]


def test_file_of_a_failed_context_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text("old")
    with pytest.raises(OSError, match="No space"), atomic_file(path) as part:
        fill(part)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["result.json"]


def test_file_with_a_name_of_255_bytes_is_written(tmp_path: Path) -> None:
    path = tmp_path / ("ä" * 127)
    with atomic_file(path) as part:
        part.write_text("new")
    assert names(tmp_path) == [path.name]


def test_folder_replaces_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "artifacts"
    folder.mkdir(parents=True)
    (folder / "old").touch()
    with atomic_folder(folder) as part:
        (part / "new").touch()
        assert names(folder) == ["old"]
    assert names(folder) == ["new"]
    assert names(folder.parent) == ["artifacts"]


def test_folder_that_another_process_made_meanwhile_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    with atomic_folder(folder, keep_existing=True) as part:
        (part / "mine").touch()
        folder.mkdir()
        (folder / "theirs").touch()
    assert names(folder) == ["theirs"]
    assert names(tmp_path) == ["model"]


def test_folder_of_a_failed_context_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space"), atomic_folder(tmp_path / "artifacts") as part:
        fill(part / "half")
    assert names(tmp_path) == []


def test_full_disk_names_the_folder_and_the_way_out(tmp_path: Path) -> None:
    expected = f"^{tmp_path}: No space left.*or write elsewhere$"
    with (
        pytest.raises(StorageError, match=expected),
        atomic_folder(tmp_path / "artifacts", "write elsewhere") as part,
    ):
        fill(part / "half")
    assert names(tmp_path) == []
