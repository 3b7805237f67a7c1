"""Reads the rows of a hub dataset with `datasets`: an id (owner/name), or a local folder with the same layout."""

import json
import os
from collections.abc import Iterator
from typing import Any

from cachelab.error_format import reason
from cachelab.errors import DatasetError
from cachelab.model.hub import is_path

_ROWS = 256  # held at a time


def hub_records(
    hub: str, split: str, subset: str | None, revision: str | None, digest: Any
) -> Iterator[tuple[str, Any]]:
    """Each row of the split with its place, as error messages name it. `digest` is updated with the rows.

    The rows are memory-mapped, so memory does not grow with their number. Raises DatasetError that says what to do if
    the dataset, the subset or the split cannot be loaded.
    """
    import datasets

    named = f"dataset.hub={hub}"
    if not is_path(hub) and not datasets.config.HF_HUB_OFFLINE and (refusal := _why_refused(hub)):
        raise DatasetError(
            f"{named}: the hub does not give it ({refusal}): check the name and the network; HF_HUB_OFFLINE=1 reads a "
            "copy in the cache, dataset.path=FOLDER downloaded files"
        )
    try:
        rows = datasets.load_dataset(os.path.expanduser(hub), name=subset, split=split, revision=revision)
    except Exception as error:  # the library's own, its HTTP client's and pyarrow's errors share no base
        raise DatasetError(
            f"{named} dataset.split={split}: cannot be loaded ({reason(error)}): check dataset.hub, dataset.split, "
            "dataset.subset and dataset.revision"
        ) from error
    index = 0
    for batch in rows.with_format("arrow").iter(_ROWS):  # not decoded: images remain bytes
        for row in batch.to_pylist():
            digest.update(json.dumps(row, default=repr, sort_keys=True).encode())
            yield f"{hub}: {split} row {index}", row
            index += 1
    if not index:
        raise DatasetError(f"{named} dataset.split={split}: the split holds no rows: choose another one")


def _why_refused(hub: str) -> str | None:
    """Why the hub refuses a dataset; None if it does not. One short request, because the libraries retry theirs."""
    from huggingface_hub import HfApi

    try:
        HfApi().dataset_info(hub, timeout=5)
    except Exception as error:  # its HTTP client's errors share no base with OSError
        return reason(error)
    return None
