"""Files of records: JSON, JSON Lines (plain or gzip) or Parquet; one file, those of a folder, or those of a pattern."""

import glob
import os
from collections.abc import Iterator
from typing import Any

from cachelab.dataset.json_records import json_records
from cachelab.dataset.source_bytes import CHUNK_BYTES, STANDARD_INPUT, opened, path_name, unpacked
from cachelab.errors import DatasetError

SUFFIXES = (".json", ".jsonl", ".ndjson", ".traj", ".json.gz", ".jsonl.gz", ".ndjson.gz", ".parquet")
"""Files of a folder that are read; a single file and those of a pattern may have any name."""

MAX_BYTES = 64 << 30
"""Default of `dataset.max_bytes` where records are read one by one: a bound on what gzip unpacks to, per file."""

_ROWS = 256  # of Parquet, held at a time
_PARQUET = b"PAR1"


def record_files(path: str) -> tuple[list[str], int]:
    """The files that `path` names, in the order of their names, and how many others its folder holds.

    `path` is a file, a folder (all of its files with a known suffix, those of its folders too), or a pattern such as
    `logs/*.jsonl` or `logs/**/*.parquet`. Raises DatasetError if it names none.
    """
    name = path_name(path)
    folder = os.path.expanduser(path)
    if "\0" in folder:
        raise DatasetError(f"{name}: is no usable path (embedded null byte): set dataset.path to a readable file")
    if os.path.isdir(folder):
        found = sorted(os.path.join(top, file) for top, _, files in os.walk(folder) for file in files)
        # A folder whose name begins with a dot is a tool's own, such as .git and the hub's .cache.
        seen = [file for file in found if not any(part.startswith(".") for part in _below(folder, file))]
        files = [file for file in seen if file.lower().endswith(SUFFIXES)]
        if not files:
            raise DatasetError(
                f"{name}: the folder holds no file that ends in {', '.join(SUFFIXES)}: set dataset.path to a file or a "
                "pattern such as logs/*.log"
            )
        return files, len(seen) - len(files)
    if glob.has_magic(folder) and not os.path.lexists(folder):
        files = sorted(file for file in glob.glob(folder, recursive=True) if not os.path.isdir(file))
        if not files:
            raise DatasetError(
                f"{name}: no file matches this pattern: set dataset.path to a file, a folder or a pattern"
            )
        return files, 0
    return [path], 0


def file_records(path: str, max_bytes: int, digest: Any) -> Iterator[tuple[str, Any]]:
    """Each record of a file with its place, as errors write it; `digest` is fed the file's bytes.

    Raises DatasetError, naming the path, if the file cannot be read or is not what it seems to be.
    """
    name = path_name(path)
    if path not in STANDARD_INPUT and _begins_with(path, _PARQUET):
        yield from _parquet_records(path, name, digest)
        return
    with opened(path) as raw:
        yield from json_records(unpacked(raw, name, max_bytes, digest), name)


def _below(folder: str, file: str) -> tuple[str, ...]:
    return tuple(os.path.relpath(file, folder).split(os.sep))


def _begins_with(path: str, magic: bytes) -> bool:
    with opened(path) as raw:
        return raw.read(len(magic)) == magic


def _parquet_records(path: str, name: str, digest: Any) -> Iterator[tuple[str, Any]]:
    import pyarrow
    import pyarrow.parquet as parquet

    with opened(path) as raw:
        while piece := raw.read(CHUNK_BYTES):
            digest.update(piece)
    try:
        with parquet.ParquetFile(os.path.expanduser(path)) as table:
            row = 0
            for batch in table.iter_batches(_ROWS):
                for value in batch.to_pylist():
                    yield f"{name}: row {row}", value
                    row += 1
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DatasetError(f"{name}: the Parquet file is damaged ({reason}): get the file again") from error
    if not row:
        raise DatasetError(f"{name}: the Parquet file holds no rows: choose a file that holds conversations")
