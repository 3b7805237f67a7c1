"""A dataset read once for all jobs of a process."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cachelab.dataset.base import LoadedDataset
from cachelab.dataset.cached_dataset import CachedDataset


@dataclass(frozen=True)
class Counting:
    path: str
    loads: list[int] = field(default_factory=list, repr=False)

    def load(self) -> LoadedDataset:
        self.loads.append(1)
        return LoadedDataset("counting", self.path, "d", (), {})


def test_load_reads_once_for_equal_settings(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    one, two = Counting(str(tmp_path / "a")), Counting(str(tmp_path / "a"))
    assert CachedDataset(one).load() is CachedDataset(two).load()
    assert (len(one.loads), len(two.loads)) == (1, 0)


def test_load_reads_again_when_the_file_changes(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("x")
    dataset = Counting(str(path))
    CachedDataset(dataset).load()
    path.write_text("y")
    os.utime(path, ns=(1, 1))
    CachedDataset(dataset).load()
    assert len(dataset.loads) == 2


def test_load_of_other_settings_is_another_dataset(tmp_path: Path) -> None:
    one, two = Counting(str(tmp_path / "b")), Counting(str(tmp_path / "c"))
    assert CachedDataset(one).load() is not CachedDataset(two).load()


def test_load_leaves_what_is_no_path_to_the_dataset() -> None:
    for path in ("x" * 5000, "a\0b", "~nosuchuser/x"):
        assert CachedDataset(Counting(path)).load().source == path


@pytest.mark.parametrize("pattern", ["", "/*.json"])
def test_load_reads_again_when_a_file_of_a_folder_or_a_pattern_comes(tmp_path: Path, pattern: str) -> None:
    (tmp_path / "a.json").write_text("x")
    dataset = Counting(f"{tmp_path}{pattern}")
    CachedDataset(dataset).load()
    CachedDataset(dataset).load()
    assert len(dataset.loads) == 1
    (tmp_path / "b.json").write_text("x")
    CachedDataset(dataset).load()
    assert len(dataset.loads) == 2
