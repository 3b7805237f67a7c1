"""Writes tables: Parquet with described columns, CSV without formulas."""

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cachelab.report.arrow_array import arrow_array
from cachelab.report.columns import Column

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # the last four: full width
ROW_GROUP = 1 << 20
"""Rows of a Parquet row group, as in pyarrow."""

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


def write_parquet(path: Path, columns: Mapping[str, Sequence[Any]], described: Mapping[str, Column]) -> None:
    """Write columns of equal length as Parquet; their units and meanings are metadata of its fields.

    At most ROW_GROUP rows are in memory as Python objects.
    """
    import pyarrow.parquet

    rows = len(next(iter(columns.values())))
    first = arrow_table({name: values[:ROW_GROUP] for name, values in columns.items()}, described)
    with pyarrow.parquet.ParquetWriter(path, first.schema, compression="zstd") as writer:
        writer.write_table(first)
        for start in range(ROW_GROUP, rows, ROW_GROUP):
            part = {name: values[start : start + ROW_GROUP] for name, values in columns.items()}
            writer.write_table(arrow_table(part, described))


def arrow_table(columns: Mapping[str, Sequence[Any]], described: Mapping[str, Column]) -> Any:
    """The columns, of one length, as a pyarrow.Table. Raises KeyError for a column that is not described."""
    import pyarrow

    fields, arrays = [], []
    for name, values in columns.items():
        column = described[name]
        kind = pyarrow.type_for_alias(column.kind)
        fields.append(pyarrow.field(name, kind, metadata={"unit": column.unit, "description": column.meaning}))
        arrays.append(arrow_array(values, column.kind))
    return pyarrow.table(arrays, schema=pyarrow.schema(fields))


def write_csv(path: Path, columns: Mapping[str, Sequence[Any]]) -> None:
    """Write columns of equal length as CSV, None as an empty cell. No cell is a formula to a spreadsheet."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(map(_harmless, columns))
        writer.writerows(map(_harmless, row) for row in zip(*columns.values(), strict=True))


def _harmless(cell: Any) -> Any:
    """The cell, with a ' in front of text that a spreadsheet would run (OWASP, "CSV Injection")."""
    if isinstance(cell, str) and cell.startswith(_FORMULA) and not _NUMBER.fullmatch(cell):
        return f"'{cell}"
    return cell
