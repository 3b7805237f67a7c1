"""Parameters and tags of a run as MLflow takes them; imports MLflow, so it is imported only when a run starts."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from mlflow import MlflowClient
from mlflow.entities import Param, RunTag

from cachelab.error_format import cut

Item = TypeVar("Item")

# MLflow's limits: characters of a value, items of a batch
_MAX_PARAM, MAX_TAG = 6000, 8000
_ENTRIES_A_BATCH = 100


def log_parameters(client: MlflowClient, run_id: str, parameters: Mapping[str, str]) -> None:
    """Log parameters to a run; characters that MLflow refuses in a key become `_`, long values are cut."""
    params = [Param(stored_name(key), cut(value, _MAX_PARAM)) for key, value in parameters.items()]
    for batch in batches(params, _ENTRIES_A_BATCH):
        client.log_batch(run_id, params=batch)


def set_tags(client: MlflowClient, run_id: str, tags: Mapping[str, str]) -> None:
    """Set tags of a run, as `log_parameters` logs parameters."""
    tagged = [RunTag(stored_name(key), cut(value, MAX_TAG)) for key, value in tags.items()]
    for batch in batches(tagged, _ENTRIES_A_BATCH):
        client.log_batch(run_id, tags=batch)


def stored_name(name: str) -> str:
    """A name without the characters that MLflow refuses, cut to the length that it takes."""
    return re.sub(r"[^/\w.\- :]", "_", name)[:250]


def cut_lines(text: str, length: int) -> str:
    """As many complete lines as fit: half a row would break a Markdown table."""
    if len(text) <= length:
        return text
    end = "\n\n(The rest is in the artifact summary.md.)"
    return text[: length - len(end)].rpartition("\n")[0] + end


def batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """The items in order, `size` at a time."""
    return (items[start : start + size] for start in range(0, len(items), size))
