"""Parquet files say what their columns mean; CSV files hold no formula; every column is described."""

import csv
from pathlib import Path

import pyarrow.parquet
import pytest

from cachelab.metrics.blocks import block_table
from cachelab.metrics.capacity import capacity_table
from cachelab.metrics.losses import losses_table
from cachelab.metrics.requests import request_table
from cachelab.metrics.turn import turn_table
from cachelab.pipeline import Result
from cachelab.report.columns import REQUESTS, TABLES
from cachelab.report.tables import arrow_table, write_csv, write_parquet


def test_every_column_of_a_run_is_described(result: Result) -> None:
    observation = result.observation
    tables = {
        "requests.parquet": request_table(observation),
        "blocks.parquet": block_table(observation),
        "per_turn.csv": turn_table(observation),
        "losses_per_turn.csv": losses_table(observation),
        "capacity.csv": capacity_table(observation),
    }
    for file, columns in tables.items():
        assert set(columns) <= set(TABLES[file]), file
        assert arrow_table(columns, TABLES[file]).num_rows == len(next(iter(columns.values())))


def test_parquet_fields_carry_unit_and_description(tmp_path: Path) -> None:
    write_parquet(tmp_path / "t.parquet", {"request_id": ["A/0"], "ttft_s": [None]}, REQUESTS)
    schema = pyarrow.parquet.read_schema(tmp_path / "t.parquet")
    assert schema.field("ttft_s").metadata[b"unit"] == b"s"
    assert schema.field("ttft_s").metadata[b"description"].startswith(b"time to first token")
    assert [str(field.type) for field in schema] == ["string", "double"]


def test_a_column_that_is_not_described_is_refused() -> None:
    with pytest.raises(KeyError, match="mine"):
        arrow_table({"mine": [1]}, REQUESTS)


def test_write_csv_makes_no_cell_a_formula(tmp_path: Path) -> None:
    user = [
        "=1+1",
        "+cmd|' /C calc'!A0",
        "-2+3",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\uff1d1",
        "plain",
        "-3.5",
        "+1e-3",
        "",
        None,
        -3.5,
    ]
    write_csv(tmp_path / "t.csv", {"=label": user, "number": list(range(len(user)))})
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as file:
        head, *cells = csv.reader(file)
    assert head == ["'=label", "number"]
    assert [cell for cell, _ in cells] == [
        "'=1+1",
        "'+cmd|' /C calc'!A0",
        "'-2+3",
        "'@SUM(A1)",
        "'\t=1",
        "'\r=1",
        "'\uff1d1",
        "plain",
        "-3.5",
        "+1e-3",
        "",
        "",
        "-3.5",
    ]
