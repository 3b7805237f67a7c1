"""Files that cannot be read, and the digest of those that can."""

import gzip
import hashlib
import io
import os
from pathlib import Path

import pytest

from cachelab.dataset import source_bytes
from cachelab.dataset.source_file import SourceFile
from cachelab.errors import DatasetError


def message_of(path: Path) -> str:
    with pytest.raises(DatasetError) as caught:
        SourceFile.read(str(path), "rules")
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


def test_read_plain_and_gzip_give_the_same_text(tmp_path: Path) -> None:
    plain, packed = tmp_path / "a.json", tmp_path / "a.json.gz"
    plain.write_text("[1] é", encoding="utf-8")
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert SourceFile.read(str(plain), "r").text == SourceFile.read(str(packed), "r").text == "[1] é"


def test_read_drops_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"\xef\xbb\xbf[1]")
    assert SourceFile.read(str(tmp_path / "a.json"), "r").text == "[1]"


def test_digest_is_of_rules_and_bytes() -> None:
    file = SourceFile.of("a", b"[1]", "rules-1")
    assert file.digest == hashlib.sha256(b"rules-1\0[1]").hexdigest()
    assert file.digest != SourceFile.of("a", b"[1]", "rules-2").digest
    assert file.digest == SourceFile.of("b", b"[1]", "rules-1").digest


def test_read_missing_file(tmp_path: Path) -> None:
    assert "no such file" in message_of(tmp_path / "none.json")


def test_read_directory(tmp_path: Path) -> None:
    assert "is a directory" in message_of(tmp_path)


def test_read_standard_input_plain_and_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for data in (b"[1]", gzip.compress(b"[1]")):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(data))))
        read = SourceFile.read("-", "r")
        assert (read.name, read.text, read.digest) == ("-", "[1]", SourceFile.of("a", data, "r").digest)
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(DatasetError, match=r"^-: standard input is closed"):
        SourceFile.read("-", "r")


def test_read_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "is a pipe, not a regular file" in message_of(tmp_path / "pipe")


def test_read_no_more_than_the_bound(tmp_path: Path) -> None:
    for name, data in (("plain", b"[" + b" " * 999), ("packed", gzip.compress(b"[" + b" " * 999))):
        (tmp_path / name).write_bytes(data)
        assert SourceFile.read(str(tmp_path / name), "r", 1000).text.strip() == "["
        with pytest.raises(DatasetError, match=rf"{name}: holds more than 999 bytes.*dataset\.max_bytes"):
            SourceFile.read(str(tmp_path / name), "r", 999)


def test_read_stops_at_a_bomb_by_its_ratio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_bytes, "RATIO_FROM", 1 << 20)
    monkeypatch.setattr(source_bytes, "CHUNK_BYTES", 1 << 18)
    (tmp_path / "a").write_bytes(gzip.compress(b" " * (4 << 20)))
    assert "unpacks to more than 200 times its size" in message_of(tmp_path / "a")


def test_read_path_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    assert "cannot be read" in message_of(tmp_path / "a" / "b")


@pytest.mark.parametrize("data", [b"", b" \n ", gzip.compress(b"", mtime=0)], ids=["nothing", "blank", "packed"])
def test_read_empty_file(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a").write_bytes(data)
    assert "is empty" in message_of(tmp_path / "a")


def test_read_not_utf8_names_the_byte(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b'["caf\xe9"]')
    # [ " c a f are bytes 0 to 4.
    assert "not UTF-8 at byte 5 (0xe9)" in message_of(tmp_path / "a")


def test_read_truncated_gzip(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(gzip.compress(b"[1, 2, 3]")[:-9])
    assert "truncated" in message_of(tmp_path / "a")


def test_read_damaged_gzip(tmp_path: Path) -> None:
    data = bytearray(gzip.compress(b"[1, 2, 3]"))
    data[-8] ^= 0xFF  # the checksum
    (tmp_path / "a").write_bytes(data)
    assert "damaged" in message_of(tmp_path / "a")
