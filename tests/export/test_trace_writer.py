"""The lines of a block trace, written without a Python object per block, against json."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachelab.export.id_text import LONGEST, write_ids
from cachelab.export.trace_writer import block_trace_lines, block_trace_rows
from cachelab.request import Request
from cachelab.tokens import BlockTokens

ids = st.lists(st.one_of(st.integers(0, 12), st.integers(0, 2**31 - 1), st.sampled_from([9, 10, 99, 100, 10**9])))


@given(ids)
def test_ids_are_written_as_json_writes_them(numbers: list[int]) -> None:
    text = np.empty(LONGEST * len(numbers), np.uint8)
    written = text[: write_ids(np.asarray(numbers, np.int32), text)].tobytes()
    assert b"[" + written.removesuffix(b",") + b"]" == json.dumps(numbers, separators=(",", ":")).encode()


def test_negative_ids_are_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        write_ids(np.asarray([-1], np.int32), np.empty(LONGEST, np.uint8))


def blocks(*numbers: int) -> BlockTokens:
    return BlockTokens(np.asarray(numbers, np.int32), 4, 4 * len(numbers))


def test_lines_are_the_rows() -> None:
    first = Request("a/0", "a", 0, blocks(0, 1, 2), blocks(3, 4, 5), (), None, 0.5)
    second = Request("a/1", "a", 1, blocks(*range(200)), blocks(7), (), None, 1.5, follows="a/0")
    rows = list(block_trace_rows([first, second]))
    assert [row.get("output_hash_ids") for row in rows] == [[3, 4], None]
    assert [len(row["hash_ids"]) for row in rows] == [3, 200]
    expected = [json.dumps(row, separators=(",", ":")).encode() for row in rows]
    assert list(block_trace_lines([first, second])) == expected
