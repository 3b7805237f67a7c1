"""Arrow arrays made without pandas, against pyarrow's own."""

from typing import Any

import numpy as np
import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachelab.prefix_cache.block_ids import BlockNames
from cachelab.report.arrow_array import arrow_array

int64s = st.integers(-(2**63), 2**63 - 1)


@given(
    st.one_of(
        st.tuples(st.just("string"), st.lists(st.none() | st.text())),
        st.tuples(st.just("int64"), st.lists(st.none() | int64s)),
        st.tuples(st.just("float64"), st.lists(st.none() | st.floats(allow_nan=False) | st.integers(-9, 9))),
    )
)
def test_arrays_are_those_of_pyarrow(made: tuple[Any, list[Any]]) -> None:
    kind, values = made
    array = arrow_array(values, kind)
    array.validate(full=True)
    assert array.equals(pyarrow.array(values, type=pyarrow.type_for_alias(kind)))


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.bool_])
def test_numpy_arrays_are_widened(dtype: Any) -> None:
    values = np.arange(10).astype(dtype)[::2]
    assert arrow_array(values, "int64").to_pylist() == values.astype(int).tolist()


def test_nan_is_no_null() -> None:
    assert arrow_array([float("nan"), None], "float64").null_count == 1


@pytest.mark.parametrize(("values", "kind"), [([1.5], "int64"), (["a"], "int64"), ([1], "string"), (["a"], "float64")])
def test_values_of_another_kind_are_refused(values: list[Any], kind: Any) -> None:
    with pytest.raises(TypeError):
        arrow_array(values, kind)


@given(st.lists(st.binary(min_size=16, max_size=16), min_size=1), st.data())
def test_names_of_blocks_are_their_texts(digests: list[bytes], data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.integers(0, len(digests) - 1)))
    names = BlockNames(np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 16), np.asarray(rows, np.int32))
    array = arrow_array(names, "string")
    array.validate(full=True)
    assert array.to_pylist() == [digests[row].hex() for row in rows] == list(names)
