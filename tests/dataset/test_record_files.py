"""One file, a folder or a pattern; JSON, JSON Lines, gzip, Parquet; the digest tells every byte apart."""

import gzip
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cachelab.dataset.hub_records import hub_records
from cachelab.dataset.record_files import MAX_BYTES, file_records
from cachelab.dataset.source_paths import source_paths
from cachelab.errors import DatasetError

ROWS = [{"messages": [{"role": "user", "content": f"text {index}"}], "n": index} for index in range(600)]


def read(path: Path | str, max_bytes: int = MAX_BYTES) -> tuple[list[Any], str]:
    digest = hashlib.sha256()
    return [row for _, row in file_records(str(path), max_bytes, digest)], digest.hexdigest()


def test_each_format_gives_the_same_rows(tmp_path: Path) -> None:
    lines = "\n".join(map(json.dumps, ROWS)).encode()
    (tmp_path / "a.jsonl").write_bytes(lines)
    (tmp_path / "a.json").write_text(json.dumps(ROWS))
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines))
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "a.parquet", row_group_size=100)
    digests = set()
    for name in ("a.jsonl", "a.json", "a.jsonl.gz", "a.parquet"):
        rows, digest = read(tmp_path / name)
        assert rows == ROWS
        assert digest == hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
        digests.add(digest)
    assert len(digests) == 4
    places = [place for place, _ in file_records(str(tmp_path / "a.parquet"), MAX_BYTES, hashlib.sha256())]
    assert places[599] == f"{tmp_path / 'a.parquet'}: row 599"


def test_a_folder_gives_its_known_files_in_order_and_counts_the_others(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.json", "sub/c.parquet", "README.md", "x.csv", ".git/d.json", ".hidden.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = source_paths(str(tmp_path))
    assert [os.path.relpath(file, tmp_path) for file in found.paths] == ["a.json", "b.jsonl", "sub/c.parquet"]
    assert found.skipped == 2


def test_a_pattern_gives_its_files_in_order(tmp_path: Path) -> None:
    for name in ("b.log", "a.log", "sub/c.log", "d.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert list(source_paths(f"{tmp_path}/*.log").paths) == [f"{tmp_path}/a.log", f"{tmp_path}/b.log"]
    assert len(source_paths(f"{tmp_path}/**/*.log").paths) == 3
    (tmp_path / "[x].json").touch()
    assert list(source_paths(f"{tmp_path}/[x].json").paths) == [f"{tmp_path}/[x].json"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("empty", "the folder holds no file that ends in"),
        ("*.nothing", "no file matches this pattern"),
        ("missing.json", "no such file"),
        ("bad.parquet", "the Parquet file is damaged"),
        ("none.parquet", "the Parquet file holds no rows"),
        ("cut.jsonl.gz", "the gzip file is truncated"),
        ("big.json", "holds more than 1,000 bytes"),
        ("pipe", "is a pipe, not a regular file"),
        ("a\0b", "is not a valid path"),
    ],
)
def test_what_cannot_be_read_is_one_line(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "no.txt").touch()
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and nothing else PAR1")
    pq.write_table(pa.Table.from_pylist(ROWS[:1]).slice(0, 0), tmp_path / "none.parquet")
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(json.dumps(ROWS).encode())[:-20])
    (tmp_path / "big.json").write_text(json.dumps(ROWS))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DatasetError) as caught:
        read_all(f"{tmp_path}/{name}")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def read_all(path: str) -> None:
    for file in source_paths(path).paths:
        read(file, 1000)


@pytest.fixture
def repository_folder(tmp_path: Path) -> Path:
    """A data set as the hub lays it out: a card that lists its subsets, and Parquet files by split."""
    (tmp_path / "data").mkdir()
    pq.write_table(pa.Table.from_pylist(ROWS[:400]), tmp_path / "data/train-00000-of-00002.parquet")
    pq.write_table(pa.Table.from_pylist(ROWS[400:]), tmp_path / "data/train-00001-of-00002.parquet")
    pq.write_table(pa.Table.from_pylist(ROWS[:3]), tmp_path / "data/test-00000-of-00001.parquet")
    card = "configs:\n- config_name: default\n  data_files:\n  - split: train\n    path: data/train-*\n"
    (tmp_path / "README.md").write_text(f"---\n{card}  - split: test\n    path: data/test-*\n---\n# A data set\n")
    return tmp_path


def test_hub_data_set_by_split(
    repository_folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path_factory.mktemp("datasets")))

    def rows(split: str) -> tuple[list[Any], str]:
        digest = hashlib.sha256()
        read = list(hub_records(str(repository_folder), split, None, None, digest))
        assert read[1][0] == f"{repository_folder}: {split} row 1"
        return [row for _, row in read], digest.hexdigest()

    assert rows("train")[0] == ROWS
    assert rows("test")[0] == ROWS[:3]
    assert rows("train")[1] == rows("train")[1] != rows("test")[1]
    with pytest.raises(DatasetError, match=r"dataset\.split=nope: cannot be loaded .*check dataset\.hub") as caught:
        rows("nope")
    assert "\n" not in str(caught.value)


def test_hub_data_set_without_network_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import HfApi

    def unreachable(*_: object, **__: object) -> None:
        raise OSError("Network is unreachable\nmore")

    monkeypatch.setattr(HfApi, "dataset_info", unreachable)
    with pytest.raises(DatasetError, match=r"^dataset\.hub=some/data: the hub does not give it \(Network .*HF_HUB_OFF"):
        list(hub_records("some/data", "train", None, None, hashlib.sha256()))
