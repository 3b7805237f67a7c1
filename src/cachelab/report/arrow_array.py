"""Makes pyarrow arrays from columns; pyarrow.array would import pandas, which takes half a second of CPU."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cachelab.prefix_cache.block_ids import BlockNames
from cachelab.report.columns import Kind


def arrow_array(values: Sequence[Any] | npt.NDArray[Any], kind: Kind) -> Any:
    """A pyarrow array of this kind; None is a null. Raises TypeError for a value of another kind."""
    import pyarrow

    if kind == "string" and isinstance(values, BlockNames):
        digits = values.digits()  # millions of texts of one length
        offsets = np.arange(0, digits.size + 1, digits.shape[1], np.int32)
        buffers = [None, pyarrow.py_buffer(offsets), pyarrow.py_buffer(digits)]
        return pyarrow.Array.from_buffers(pyarrow.string(), len(values), buffers, 0)
    if kind == "string":
        return _strings(values)
    valid, nulls = None, 0
    if not isinstance(values, np.ndarray):
        valid, nulls = _validity(values)
        values = np.asarray([0 if value is None else value for value in values] if nulls else values)
    numbers = values.astype(kind, casting="safe" if len(values) else "unsafe", copy=False)  # [] has the type float64
    buffers = [valid, pyarrow.py_buffer(np.ascontiguousarray(numbers))]
    return pyarrow.Array.from_buffers(pyarrow.type_for_alias(kind), len(values), buffers, nulls)


def _strings(values: Sequence[Any] | npt.NDArray[Any]) -> Any:
    import pyarrow

    valid, nulls = _validity(values)
    texts = [b"" if value is None else str.encode(value) for value in values]
    offsets = np.cumsum([0, *map(len, texts)])
    if offsets[-1] > np.iinfo(np.int32).max:
        raise TypeError("a column of strings with more than 2 GiB in one row group")
    buffers = [valid, pyarrow.py_buffer(offsets.astype(np.int32)), pyarrow.py_buffer(b"".join(texts))]
    return pyarrow.Array.from_buffers(pyarrow.string(), len(texts), buffers, nulls)


def _validity(values: Sequence[Any] | npt.NDArray[Any]) -> tuple[Any, int]:
    """The bit mask of the values that are not None (None: all), and the number of the others."""
    import pyarrow

    present = np.asarray([value is not None for value in values], np.bool_)
    nulls = len(present) - int(present.sum())
    return (pyarrow.py_buffer(np.packbits(present, bitorder="little")) if nulls else None), nulls
