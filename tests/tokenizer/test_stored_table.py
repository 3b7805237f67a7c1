"""Tables that `datasets` stored, read with and without it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cachelab.tokenizer.stored_table import cache_folder, made_table, numbers_of, stored_table

ROWS = [{"ids": list(range(i)), "other": [-i]} for i in range(50)]


def rows() -> Iterator[dict[str, Any]]:
    yield from ROWS


def made(folder: Path) -> Any:
    return made_table(folder, "f", rows, ["ids", "other"])


def test_nothing_is_stored_at_first(tmp_path: Path) -> None:
    assert stored_table(tmp_path, "f") is None


@pytest.mark.parametrize("shard", ["500MB", 300])
def test_stored_table_is_the_made_one(shard: str | int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.MAX_SHARD_SIZE", shard)
    monkeypatch.setattr("datasets.config.ARROW_RECORD_BATCH_SIZE_FOR_AUDIO_DATASETS", 1)
    monkeypatch.setattr("datasets.config.DEFAULT_MAX_BATCH_SIZE", 10)
    first = made(tmp_path)
    found = stored_table(tmp_path, "f")
    assert found is not None
    assert found.to_pylist() == first.to_pylist() == ROWS
    assert found.schema.equals(first.schema)
    assert (len(list(tmp_path.rglob("*.arrow"))) > 1) == (shard == 300)
    assert stored_table(tmp_path, "g") is None
    for table in (first, found):
        chunks = table.column("ids").chunks
        numbers = np.concatenate([numbers_of(chunk.flatten()) for chunk in chunks])
        assert numbers.tolist() == [number for row in ROWS for number in row["ids"]]
        assert [n for chunk in chunks for n in numbers_of(chunk.value_lengths()).tolist()] == list(range(50))
        assert numbers_of(table.column("ids").chunk(0).slice(3).flatten()).tolist()[:3] == [0, 1, 2]


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"splits": {"train": {"num_examples": 3}}}', b"\xff"])
def test_description_that_does_not_fit_is_left_to_datasets(damage: bytes, tmp_path: Path) -> None:
    made(tmp_path)
    (file,) = tmp_path.rglob("dataset_info.json")
    file.write_bytes(damage)
    assert stored_table(tmp_path, "f") is None


def test_stored_table_needs_no_datasets(tmp_path: Path) -> None:
    made(tmp_path)
    script = f"""
import sys
from pathlib import Path
from cachelab.tokenizer.stored_table import stored_table
print(len(stored_table(Path({str(tmp_path)!r}), "f")), sorted({{"datasets", "pandas"}} & set(sys.modules)))
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ran.stdout == "50 []\n", ran.stderr


@pytest.mark.parametrize(
    "variables",
    [{}, {"XDG_CACHE_HOME": "/x"}, {"HF_HOME": "~/h"}, {"HF_HOME": "/h", "HF_DATASETS_CACHE": "/d"}],
)
def test_folder_is_that_of_datasets(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_CACHE_HOME", "HF_HOME", "HF_DATASETS_CACHE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    script = "import datasets; print(datasets.config.HF_DATASETS_CACHE)"
    theirs = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert str(cache_folder()) == theirs.stdout.strip()
