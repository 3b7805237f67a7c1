"""Records are read piece by piece, whatever the pieces; what is broken is one line with its place."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachelab.dataset.json_records import json_records
from cachelab.errors import DatasetError

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.just('\ud83d\\"\n')
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)
RECORDS = st.lists(st.dictionaries(st.text(), VALUES, min_size=1, max_size=3), min_size=1, max_size=6)


def pieces(text: bytes, size: int) -> Iterator[bytes]:
    return (text[start : start + size] for start in range(0, len(text), size))


def read(text: bytes, size: int = 1 << 20) -> list[Any]:
    return [record for _, record in json_records(pieces(text, size), "f")]


@given(RECORDS, st.integers(1, 40), st.sampled_from([None, 1]), st.booleans())
def test_pieces_do_not_matter(records: list[Any], size: int, indent: int | None, ascii: bool) -> None:
    def dumped(value: Any, indent: int | None = indent) -> str:
        return json.dumps(value, indent=indent, ensure_ascii=ascii)

    lines = "\n".join(dumped(record, None) for record in records)
    objects = "\n\n".join(dumped(record) for record in records)
    for text in (dumped(records), lines, lines + "\n", objects):
        data = text.encode("utf-8", "replace") if ascii is False else text.encode()
        expected = records if ascii else json.loads(dumped(records).encode("utf-8", "replace"))
        assert read(data, size) == expected


def test_places_and_line_numbers() -> None:
    lines = b'\n{"a": 1}\n\n{"a": 2}\n'
    assert [place for place, _ in json_records(pieces(lines, 3), "f")] == ["f: line 2", "f: line 4"]
    assert [place for place, _ in json_records(pieces(b'[{"a": 1}, {"a": 2}]', 3), "f")] == ["f: item 0", "f: item 1"]
    pretty = b'{\n"a": 1\n}\n{\n"a": 2\n}'
    assert [place for place, _ in json_records(pieces(pretty, 3), "f")] == ["f: line 1", "f: line 4"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "f: the file is empty"),
        (b" \n", "f: the file is empty"),
        (b"[]", "f: the array is empty"),
        (b"[1]", "f: item 0 is a number, not an object"),
        (b'"x"', "f: line 1 is not an object"),
        (b"xyz", "f: line 1 column 1: not JSON"),
        (b"\xff", "f: not UTF-8 at byte 0 (0xff)"),
        (b'[{"a": "x\xe9"}]', "f: not UTF-8 at byte 9 (0xe9)"),
        (b'{"a": "\xc3', "f: not UTF-8 at byte 7 (0xc3)"),
        (b'[{"a": 1},\n{"a": }]', "f: item 1: not JSON (expecting value) at line 2 column 7"),
        (b'[{"a": 1},\n{"a": 1', "f: item 1: the JSON is cut off at line 2 column 8"),
        (b'[{"a": 1},\n{"a": "x', "f: item 1: the JSON is cut off at line 2 column 7"),
        (b'[{"a": 1} {"a": 1}]', 'f: item 1: not JSON ("," or "]" expected) at line 1'),
        (b'[{"a": 1}', "f: item 1: the JSON is cut off at line 1"),
        (b'[{"a": 1},]', "f: item 1: not JSON (expecting value) at line 1 column 11"),
        (b'[{"a": 1}]\nx', "f: line 2: text after the end of the array"),
        (b'{"a": 1}\n{"a', "f: line 2 column 2: the JSON is cut off"),
        (b'{"a": 1}\n[1]', "f: line 2 is an array, not an object"),
        (b'{"a": "x\n{"a": 1}', "f: line 1: not JSON (invalid control character) at line 1 column 9"),
        (b'{"a": 1, "a": 2}', "f: line 1: key 'a' appears twice in one object"),
        (b'[{"b": 1},\n{"a": 1, "a": 2}]', "f: item 1 (line 2): key 'a' appears twice in one object"),
        (b'[{"a": ' + b"9" * 5000 + b"}]", "f: item 0: not usable JSON"),
        (b'[{"a": ' + b"[" * 100_000, "f: item 0: the JSON is nested too deeply"),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_broken_text_is_one_line_with_its_place(text: bytes, message: str, size: int) -> None:
    if size == 1 and len(text) > 10_000:
        size = 1000
    with pytest.raises(DatasetError) as caught:
        read(text, size)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_memory_holds_the_longest_record_not_the_file() -> None:
    import tracemalloc

    record = json.dumps({"a": "x" * 100_000}).encode()

    def endless() -> Iterator[bytes]:
        yield b"["
        for _ in range(600):
            yield record + b","
        yield record + b"]"

    tracemalloc.start()
    assert sum(1 for _ in json_records(endless(), "f")) == 601
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3_000_000
