"""The rows of a hub data set, read by `datasets`: an id (owner/name), or a local folder laid out like one."""

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
    """Each row of the split with its place, as errors write it; `digest` is fed the rows.

    The rows are memory-mapped, so that memory does not grow with them. Raises DatasetError that says what to do if
    the data set, the subset or the split cannot be had.
    """
    import datasets

    named = f"dataset.hub={hub}"
    if not is_path(hub) and not datasets.config.HF_HUB_OFFLINE and (refusal := _why_refused(hub)):
        raise DatasetError(
            f"{named}: the hub does not give it ({refusal}): check the name and the network; with HF_HUB_OFFLINE=1 a "
            "copy in the cache is read, with dataset.path=FOLDER downloaded files"
        )
    try:
        rows = datasets.load_dataset(os.path.expanduser(hub), name=subset, split=split, revision=revision)
    except Exception as error:  # the library's own, its HTTP client's and pyarrow's errors share no base
        raise DatasetError(
            f"{named} dataset.split={split}: cannot be loaded ({reason(error)}): check dataset.hub, dataset.split, "
            "dataset.subset and dataset.revision"
        ) from error
    index = 0
    for batch in rows.with_format("arrow").iter(_ROWS):  # not decoded: an image stays its bytes
        for row in batch.to_pylist():
            digest.update(json.dumps(row, default=repr, sort_keys=True).encode())
            yield f"{hub}: {split} row {index}", row
            index += 1
    if not index:
        raise DatasetError(f"{named} dataset.split={split}: the split holds no rows: choose another one")


def _why_refused(hub: str) -> str | None:
    """Why the hub does not give a data set; None if it does. One short request, as the libraries repeat theirs."""
    from huggingface_hub import HfApi

    try:
        HfApi().dataset_info(hub, timeout=5)
    except Exception as error:  # its HTTP client's errors share no base with OSError
        return reason(error)
    return None
