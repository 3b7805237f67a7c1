import csv
import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet
import pytest

from cachelab.config import ReportConfig
from cachelab.metrics.base import AnyMetric
from cachelab.pipeline import Result
from cachelab.report import artifacts, figures
from cachelab.report.artifacts import write_artifacts
from cachelab.tracking.description import RunDescription

FILES = {
    "blocks.parquet",
    "capacity.csv",
    "config.yaml",
    "losses_per_turn.csv",
    "metrics.json",
    "per_turn.csv",
    "report.html",
    "requests.parquet",
    "summary.md",
    "trace.jsonl.gz",
}


DRAWN = figures.FIGURES.keys() - {"hit_rate_by_minute"}  # the run is shorter than a minute
FILES |= {f"figures/{name}.svg" for name in DRAWN}
NEED_HITS = ("capacity", "hit_rate_by_turn", "hits_per_block", "losses", "reuse_gaps", "ttft_by_cached_tokens")


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_write_artifacts_every_file(result: Result, description: RunDescription, metrics: Sequence[AnyMetric]) -> None:
    folder = write_artifacts(result, description, metrics, "tokens")

    assert folder == description.output_dir / "artifacts"
    assert files(folder) == FILES
    assert (folder / "config.yaml").read_text() == description.config_yaml
    assert len(gzip.decompress((folder / "trace.jsonl.gz").read_bytes()).splitlines()) == 4
    requests = pyarrow.parquet.read_table(folder / "requests.parquet").to_pydict()
    assert requests["request_id"] == ["A/0", "A/1", "A/2", "B/0"]
    assert requests["hit_blocks"] == [0, 3, 4, None]
    assert pyarrow.parquet.read_table(folder / "blocks.parquet").to_pydict()["hits"] == [2, 2, 2, 1]
    numbers = json.loads((folder / "metrics.json").read_text())
    assert numbers["values"]["hit_rate/first_prefill"] == pytest.approx(7 / 11)
    assert numbers["series"]["turn/hit_rate"] == {"0": 0.0, "1": 0.75, "2": 0.8}
    with (folder / "per_turn.csv").open(newline="") as file:
        assert list(csv.reader(file))[1:] == [
            ["0", "1", "2", "0", "0.0"],
            ["1", "1", "4", "3", "0.75"],
            ["2", "1", "5", "4", "0.8"],
        ]


def test_write_artifacts_png_files_are_asked_for(
    result: Result, description: RunDescription, metrics: Sequence[AnyMetric]
) -> None:
    folder = write_artifacts(result, description, metrics, "tokens", ["figures"], options=ReportConfig(png=True))

    kinds = [{path.stem for path in (folder / "figures").glob(f"*.{kind}")} for kind in ("svg", "png")]
    assert kinds == [DRAWN, DRAWN]
    assert (folder / "figures" / "losses.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_write_artifacts_empty_columns_keep_their_types(
    result: Result, all_rejected: Result, description: RunDescription, metrics: Sequence[AnyMetric]
) -> None:
    def schemas() -> list[pyarrow.Schema]:
        folder = description.output_dir / "artifacts"
        return [pyarrow.parquet.read_schema(folder / f"{name}.parquet") for name in ("requests", "blocks")]

    write_artifacts(result, description, metrics, "tokens")
    full = schemas()
    folder = write_artifacts(all_rejected, description, metrics, "tokens")

    assert schemas() == full
    assert files(folder) == FILES - {f"figures/{name}.svg" for name in NEED_HITS}
    assert "- reuse_gaps: omitted" in (folder / "summary.md").read_text()


def test_write_artifacts_failing_half_way_leaves_nothing(
    result: Result, description: RunDescription, metrics: Sequence[AnyMetric], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(*_: object) -> str:
        raise OSError("No space left on device")

    monkeypatch.setattr(artifacts, "summary", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_artifacts(result, description, metrics, "tokens")

    assert list(description.output_dir.iterdir()) == []


def test_write_artifacts_equal_runs_make_equal_bytes(
    result: Result, description: RunDescription, metrics: Sequence[AnyMetric]
) -> None:
    first, second = (
        {name: (folder / name).read_bytes() for name in files(folder)}
        for folder in (write_artifacts(result, description, metrics, "tokens") for _ in range(2))
    )

    assert first == second


def test_files_above_their_limits_are_left_out(
    result: Result, description: RunDescription, metrics: Sequence[AnyMetric], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        options = ReportConfig(max_block_rows=3, max_trace_requests=3)
        folder = write_artifacts(result, description, metrics, "tokens", options=options)
    assert files(folder) == FILES - {"blocks.parquet", "trace.jsonl.gz"}
    for file, name in (("blocks.parquet", "block_rows"), ("trace.jsonl.gz", "trace_requests")):
        assert f"{file} is left out: it would have 4 rows, more than report.max_{name}=3" in caplog.text
    options = ReportConfig(max_block_rows=4, max_trace_requests=4)
    assert files(write_artifacts(result, description, metrics, "tokens", options=options)) == FILES
