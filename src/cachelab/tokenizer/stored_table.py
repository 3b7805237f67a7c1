"""Tables in the cache of `datasets`: a stored one is read without that library, whose import takes a second of CPU."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Int32s = npt.NDArray[np.int32]


def cache_folder() -> Path:
    """The folder of `datasets` for data (HF_DATASETS_CACHE). Source: datasets 5, `config.py`."""
    home = os.getenv("HF_HOME", os.path.join(os.getenv("XDG_CACHE_HOME", "~/.cache"), "huggingface"))
    return Path(os.getenv("HF_DATASETS_CACHE", os.path.join(os.path.expanduser(home), "datasets")))


def stored_table(folder: Path, fingerprint: str) -> Any | None:
    """The pyarrow table that `made_table` stored under this fingerprint, mapped into memory.

    None if there is none, or if it is not of the form that is known here: `made_table` then finds or refuses it.
    """
    import pyarrow

    place = folder / "generator" / f"default-fingerprint={fingerprint}" / "0.0.0"
    try:
        split = json.loads((place / "dataset_info.json").read_text(encoding="utf-8"))["splits"]["train"]
        shards = len(split.get("shard_lengths") or [0])
        names = ["generator-train.arrow"]
        if shards > 1:
            names = [f"generator-train-{shard:05d}-of-{shards:05d}.arrow" for shard in range(shards)]
        tables = [pyarrow.ipc.open_stream(pyarrow.memory_map(str(place / name))).read_all() for name in names]
        table = pyarrow.concat_tables(tables)
        return table if table.num_rows == split["num_examples"] else None
    except (OSError, ValueError, KeyError, TypeError, pyarrow.ArrowException):
        return None


def made_table(
    folder: Path, fingerprint: str, rows: Callable[[], Iterator[dict[str, Any]]], columns: Sequence[str]
) -> Any:
    """The pyarrow table of these rows, stored by `datasets`; several processes wait for one another.

    Each column has a list of int32 per row. Raises what `rows` raises, and OSError or pyarrow.ArrowException if the
    table cannot be stored.
    """
    import datasets

    features = datasets.Features(dict.fromkeys(columns, datasets.List(datasets.Value("int32"))))
    try:
        with _without_bars():
            made = datasets.Dataset.from_generator(
                rows, features=features, cache_dir=str(folder), fingerprint=fingerprint
            )
        return made.with_format("arrow")[:]
    except datasets.exceptions.DatasetsError as error:
        if error.__cause__ is None:
            raise
        raise error.__cause__ from None


def numbers_of(array: Any) -> Int32s:
    """A pyarrow Int32Array without nulls as a view; its own to_numpy would import pandas. Shape: (len(array),)."""
    buffer = array.buffers()[1]
    if not len(array) or buffer is None:
        return np.empty(0, np.int32)
    return np.frombuffer(buffer, np.int32, len(array), array.offset * 4)


@contextmanager
def _without_bars() -> Iterator[None]:
    """Hide the bars of `datasets`, which lack the total."""
    from datasets.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    if are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()
